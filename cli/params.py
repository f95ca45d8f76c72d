"""Options and types that several commands share, and the progress bar."""

from __future__ import annotations

import functools
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from blursynth.backends import BACKENDS
from blursynth.generate import Part, RunOptions
from blursynth.light import RESPONSES
from blursynth.objects import any_path
from blursynth.schema import FORMATS
from blursynth.spec import FRAME_CHOICES, Noise

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Local(click.Path):
    """A path on this machine."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            self.fail(f"expected a local folder, found {value}; copy it to this machine first")
        return super().convert(value, param, ctx)


FOLDER = Local(path_type=Path)


class Place(click.ParamType):
    """A local folder (Path), or the URL of one (RemoteFolder)."""

    name = "folder or url"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        if "://" not in value:
            return Path(value)
        from blurvid.remote import RemoteFolder

        return RemoteFolder(value)


class Output(click.ParamType):
    """Where data sets are written: a local folder (Path), or a URL (ObjectPath)."""

    name = "folder or url"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return any_path(value) if isinstance(value, str) else value


class PartType(click.ParamType):
    """`i/k` -> Part."""

    name = "i/k"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, Part):
            return value
        number, slash, count = value.partition("/")
        if not slash or not (number + count).isdecimal():
            self.fail(f"expected i/k, such as 3/40 for the third of forty, found {value}", param, ctx)
        return Part(int(number or 0), int(count or 0))


def _checked_number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("expected a number, found nan")
    return value


shards = click.option(
    "--shards",
    type=Place(),
    required=True,
    help="Folder of data sets, or of one; also s3:// or https://.",
)
cache_gb = click.option(
    "--cache-gb",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    callback=_checked_number,
    default=20.0,
    show_default=True,
    help="Room for remote shards below $XDG_CACHE_HOME, or ~/.cache.",
)


def shard_cache(place: Any, limit_gb: float) -> Any:
    """Where remote shards are kept; None for local ones."""
    if isinstance(place, Path):
        return None
    from blurvid.cache import ShardCache

    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return ShardCache(caches / "blurvid" / "shards", int(limit_gb * 1e9), say=click.echo)


def source(default: str, text: str) -> Callable:
    """--src with its default."""
    return click.option("--src", type=FOLDER, default=default, show_default=True, help=text)


def name(default: str) -> Callable:
    """--name with its default."""
    text = "Name of the data set: its folder, and the beginning of its keys."
    return click.option("--name", default=default, show_default=True, help=text)


def frames(default: str) -> Callable:
    """--frames with its default."""
    choice = click.Choice(FRAME_CHOICES)
    text = "Sharp frames stored with each blur."
    return click.option("--frames", type=choice, default=default, show_default=True, help=text)


out = click.option(
    "--out",
    type=Output(),
    default="shards/",
    show_default=True,
    help="Where the data sets are: a folder, or s3://bucket/name.",
)
seed = click.option("--seed", default=0, show_default=True, help="Of everything that is drawn.")
response = click.option(
    "--response",
    type=click.Choice(list(RESPONSES)),
    default="identity",
    show_default=True,
    help="What is averaged: the 8-bit values, or light under a curve.",
)


def _checked_jobs(context: click.Context, parameter: click.Parameter, value: int) -> int:
    if value == 0:
        raise click.BadParameter("expected 1 or more, or -1 for all processors, found 0")
    return value


jobs = click.option(
    "--jobs",
    default=-1,
    show_default=True,
    callback=_checked_jobs,
    help="Processes; -1: all cores.",
)


def packing(command: Callable) -> Callable:
    """How samples are counted, split and packed: given to the command as `packing`, a dict."""
    options = [
        click.option("--train", "train_total", type=int, help="Training samples in all."),
        click.option("--test", "test_total", type=int, help="Test samples in all."),
        click.option("--test-fraction", default=0.11, show_default=True, help="Of the sources."),
        click.option("--limit", type=int, help="Use only the first so many sources."),
        click.option("--samples-per-shard", default=256, show_default=True, help="About."),
        click.option(
            "--format",
            "image_format",
            type=click.Choice(FORMATS),
            default="png",
            show_default=True,
            help="Of the stored images; jpg is lossy.",
        ),
    ]
    return _gathered(command, options, "packing", dict)


def noise(command: Callable) -> Callable:
    """What a sensor adds to the blurred image: given to the command as `noise`, a Noise."""
    where = "in the blurred image alone; the sharp frames stay clean."
    options = [
        click.option(
            "--read-noise",
            "read",
            default=0.0,
            show_default=True,
            help=f"Standard deviation as a share of white, in linear light, {where}",
        ),
        click.option(
            "--shot-noise",
            "shot",
            default=0.0,
            show_default=True,
            help=f"Standard deviation at white of Poisson's law, in linear light, {where}",
        ),
    ]
    return _gathered(command, options, "noise", Noise)


class Typed(click.Group):
    """A group of commands that remembers what was typed, as a shell would have it."""

    def make_context(self, info_name, args, parent=None, **extra):
        typed = shlex.join([self.name, *args])
        context = super().make_context(info_name, args, parent, **extra)
        typed_bytes = typed.encode(errors="surrogateescape")
        context.meta["typed"] = typed_bytes.decode(errors="backslashreplace")
        return context


def _run_options(**values) -> RunOptions:
    return RunOptions(**values, command=click.get_current_context().meta.get("typed", ""))


def running(command: Callable) -> Callable:
    """How the work is done: given to the command as `run`, a RunOptions."""
    options = [
        jobs,
        click.option(
            "--backend",
            type=click.Choice(BACKENDS),
            default="loky",
            show_default=True,
            help="Who works: processes here, or the workers of a dask or ray cluster.",
        ),
        click.option("--address", help="Of a running cluster; else one is started here."),
        click.option(
            "--shards-of",
            "part",
            type=PartType(),
            default="1/1",
            show_default=True,
            help="Only the i-th of k parts: for the array jobs of a batch scheduler.",
        ),
        click.option(
            "--max-failures",
            type=click.IntRange(min=0),
            help="Sources that may fail. [10 %, at least 3]",
        ),
        click.option("--overwrite", is_flag=True, help="Throw away what is there; start anew."),
        click.option(
            "--licence",
            default="",
            help="Of the data, for README.md; a split that is finished keeps its own. [not stated]",
        ),
    ]
    return _gathered(command, options, "run", _run_options)


def _gathered(command: Callable, options: list, argument: str, make: Callable) -> Callable:
    """Puts several options into one argument of the command."""
    probe = functools.reduce(lambda f, option: option(f), options, lambda: None)
    names = [parameter.name for parameter in probe.__click_params__]

    @functools.wraps(command)
    def gathering(**values):
        gathered = {name: values.pop(name) for name in names}
        return command(**values, **{argument: make(**gathered)})

    return functools.reduce(lambda f, option: option(f), reversed(options), gathering)


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr with speed and time left; none where that is no terminal.

    Gives a function that is told how many are done in all.
    """
    began = time.monotonic()
    with click.progressbar(
        length=max(total, 1),
        label=unit,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        show_pos=True,
        item_show_func=lambda rate: f"{rate:.1f} {unit}/s" if rate else None,
    ) as bar:

        def on_progress(done: int) -> None:
            rate = done / max(time.monotonic() - began, 1e-9)
            bar.update(max(done - bar.pos, 0), current_item=rate)

        yield on_progress
