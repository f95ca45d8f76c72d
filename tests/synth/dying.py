"""The program in a process that is killed at a named point; for test_kill.py.

Each line of stdin is a JSON list: how, name of a file, arguments of `blursynth`. A child runs it
and kills itself `before` or `after` the rename to that name, halfway through `writing` it, or after
`adding` a second sample to it. Its exit status is printed.
"""

import json
import os
import pathlib
import signal
import sys

import webdataset

from blurcli import synth

rename, write, add = os.replace, pathlib.Path.write_bytes, webdataset.TarWriter.write
samples = []


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(how, name):
    def renaming(source, target):
        here = pathlib.Path(target).name == name
        if here and how == "before":
            die()
        rename(source, target)
        if here and how == "after":
            die()

    def writing(path, data):
        if name in path.name and how == "writing":
            write(path, data[: len(data) // 2])
            die()
        return write(path, data)

    def adding(writer, sample):
        add(writer, sample)
        samples.append(sample)
        if name in writer.stream.name and how == "adding":
            writer.stream.flush()
            die()

    os.replace, pathlib.Path.write_bytes, webdataset.TarWriter.write = renaming, writing, adding


for line in sys.stdin:
    how, name, *arguments = json.loads(line)
    child = os.fork()
    if not child:
        die_at(how, name)
        synth.blursynth(arguments, standalone_mode=False)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
