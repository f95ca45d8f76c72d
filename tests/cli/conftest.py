"""The two programs as they are typed."""

import sys

import pytest

from blurcli import synth, vid


@pytest.fixture
def typed(monkeypatch, capfd):
    """typed(main, name, *arguments) -> (exit code, stdout, stderr) of that program."""

    def run(main, name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), *capfd.readouterr()

    return run


@pytest.fixture
def blursynth(typed):
    """blursynth("panorama", ...) -> (exit code, stdout, stderr)."""
    return lambda *arguments: typed(synth.main, "blursynth", *arguments)


@pytest.fixture
def blurvid(typed):
    """blurvid("train", ...) -> (exit code, stdout, stderr)."""
    return lambda *arguments: typed(vid.main, "blurvid", *arguments)
