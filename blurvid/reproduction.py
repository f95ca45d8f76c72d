"""A table of the paper made again, its figures beside those measured here: text, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from blurvid import paper
from blurvid.checkpoint import written_whole
from blurvid.compare import NUMBER_WIDTH, number_text
from blurvid.evaluated import COMPARED, Evaluated
from blurvid.recipes import Recipe, Scale, settings
from blurvid.rows import MODEL, PREDICTED_MIDDLE
from blurvid.tables import (
    DECIMALS,
    EXPLAINED,
    HEADINGS,
    averaged_text,
    frame_names,
    wrapped,
)

HERE, MIDDLE, PRINTED, NO_MODEL = "here", "here, its middle repeated", "paper", "no model"
SOURCE_WIDTH = len(MIDDLE) + 1


@dataclass(frozen=True)
class Reproduction:
    """A table as far as it is made. measured: protocol -> evaluation, of the recipes that are
    done."""

    table: str
    scale: Scale
    recipes: tuple[Recipe, ...]
    measured: Mapping[Recipe, Mapping[str, Evaluated]]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of blur that it tests on; each is a table by itself."""
        return tuple(dict.fromkeys(recipe.tested_on for recipe in self.recipes))

    def of_kind(self, kind: str) -> list[Recipe]:
        return [recipe for recipe in self.recipes if recipe.tested_on == kind]


class Line(NamedTuple):
    """source: HERE, MIDDLE, PRINTED or NO_MODEL. run: the run folder's name ("": none). figures:
    the n frames and their mean, NaN where there is none."""

    row: str
    source: str
    run: str
    figures: tuple[float, ...]


def lines_of(made: Reproduction, kind: str, protocol: str, metric: str) -> Iterator[Line]:
    """Of each row our figures and the paper's, then the rows that need no model."""
    for recipe in made.of_kind(kind):
        row, run = recipe.paper, recipe.training.name
        missing = (math.nan,) * (row.frames + 1)
        rows = made.measured[recipe][protocol].rows if recipe in made.measured else {}
        for source, name in ((HERE, MODEL), (MIDDLE, PREDICTED_MIDDLE)):
            figures = rows[name][metric] if name in rows else missing
            yield Line(row.name, source, run, figures)
        if printed := paper.figures(row, metric):
            yield Line(row.name, PRINTED, "", printed)
    for one in _first_measured(made, kind, protocol):
        for name, figures in one.rows.items():
            if name not in (MODEL, PREDICTED_MIDDLE):
                yield Line(name, NO_MODEL, "", figures[metric])


def _first_measured(made: Reproduction, kind: str, protocol: str) -> list[Evaluated]:
    """One evaluation on this kind of blur: what needs no model is the same in all of them."""
    return [made.measured[r][protocol] for r in made.of_kind(kind) if r in made.measured][:1]


# --- text -----------------------------------------------------------------------------------


def as_text(made: Reproduction, protocols: Sequence[str]) -> str:
    """The table; rows that are not done yet are dashes."""
    lines = [paper.TITLES[made.table]]
    for sentence in settings(made.table, made.scale):
        lines += wrapped(sentence)
    missing = [r.training.name for r in made.recipes if r not in made.measured]
    if missing:
        lines += wrapped(f"not done yet: {', '.join(dict.fromkeys(missing))}")
    for kind in made.kinds:
        lines += ["", *_described(made, kind, protocols[0])]
        for protocol in protocols:
            lines += ["", f"protocol {protocol}: {EXPLAINED[protocol]}"]
            for metric in COMPARED:
                lines += _block(list(lines_of(made, kind, protocol, metric)), metric)
    return "\n".join([*lines, "", *_runs(made), ""])


def _described(made: Reproduction, kind: str, protocol: str) -> Iterator[str]:
    size = made.of_kind(kind)[0].paper.size
    for one in _first_measured(made, kind, protocol):
        sizes = ", ".join(f"{width}x{height}" for height, width in one.sizes_hw)
        yield from wrapped(
            f"tested on {kind}: data set {one.measured.data_set}, fingerprint "
            f"{one.measured.fingerprint[:12]}, split {one.measured.split}, {one.samples} samples "
            f"of {sizes}, response {one.measured.response}, blur of n frames: "
            f"{averaged_text(*one.averaged)}"
        )
    yield from wrapped(
        f"the paper's figures: {paper.SOURCES[kind]}, {size}x{size} px, the better direction for "
        "each metric; other samples than those above"
    )


def _block(lines: Sequence[Line], metric: str) -> list[str]:
    if not lines:
        return []
    names = max(len(text) for text in (HEADINGS[metric], *(line.row for line in lines))) + 2
    columns = [*frame_names(len(lines[0].figures) - 1), "mean"]
    heading = f"{HEADINGS[metric]:{names}}{'':{SOURCE_WIDTH}}"
    printed = [heading + "".join(f"{column:>{NUMBER_WIDTH}}" for column in columns)]
    above = ""
    for line in lines:
        numbers = "".join(number_text(value, DECIMALS[metric]) for value in line.figures)
        name = "" if line.row == above else line.row
        printed.append(f"{name:{names}}{line.source:{SOURCE_WIDTH}}{numbers}")
        above = line.row
    return printed


def _runs(made: Reproduction) -> Iterator[str]:
    names = max(len(recipe.paper.name) for recipe in made.recipes)
    for recipe in made.recipes:
        trained = f"trained on {recipe.training.kind}, tested on {recipe.tested_on}"
        yield f"{recipe.paper.name:{names}}  run {recipe.training.name}, {trained}"
        for one in list(made.measured.get(recipe, {}).values())[:1]:
            yield f"{'':{names}}  weights {one.weights}"


# --- files ----------------------------------------------------------------------------------


def write_reproduction(folder: Path, made: Reproduction, protocols: Sequence[str]) -> None:
    """`<table>.txt`, `<table>.csv` and `<table>.json`."""
    texts = {
        "txt": as_text(made, protocols),
        "csv": as_csv(made, protocols),
        "json": json.dumps(as_json(made, protocols), indent=1, allow_nan=False) + "\n",
    }
    for ending, text in texts.items():
        with written_whole(folder / f"{made.table}.{ending}") as temporary:
            temporary.write_text(text)


def all_lines(
    made: Reproduction, protocols: Iterable[str]
) -> Iterator[tuple[str, str, str, Line]]:
    """(tested on, protocol, metric, line) of the whole table."""
    for kind in made.kinds:
        for protocol in protocols:
            for metric in COMPARED:
                for line in lines_of(made, kind, protocol, metric):
                    yield kind, protocol, metric, line


def as_csv(made: Reproduction, protocols: Sequence[str]) -> str:
    """A line for each figure; empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    facts = ("table", "scale", "tested_on", "protocol", "metric")
    writer.writerow([*facts, "row", "source", "run", "frame", "value"])
    for kind, protocol, metric, line in all_lines(made, protocols):
        columns = [*frame_names(len(line.figures) - 1), "mean"]
        for column, value in zip(columns, line.figures, strict=True):
            number = "" if math.isnan(value) else f"{value:.6f}"
            row = [made.table, made.scale.name, kind, protocol, metric, *line[:-1], column, number]
            writer.writerow(row)
    return out.getvalue()


def as_json(made: Reproduction, protocols: Sequence[str]) -> dict[str, Any]:
    """What the text says, unrounded; null where there is no figure."""
    rows = []
    for kind, protocol, metric, line in all_lines(made, protocols):
        *frames, mean = (None if math.isnan(value) else value for value in line.figures)
        facts = {"tested_on": kind, "protocol": protocol, "metric": metric}
        rows.append({**facts, **line._asdict(), "figures": {"frames": frames, "mean": mean}})
    return {
        "table": made.table,
        "title": paper.TITLES[made.table],
        "scale": made.scale.name,
        "settings": settings(made.table, made.scale),
        "tested": [
            {
                **one.measured._asdict(),
                "kind": kind,
                "samples": one.samples,
                "sizes_hw": [list(size) for size in one.sizes_hw],
                "n": dict(zip(("min", "max", "mean"), one.averaged)),
            }
            for kind in made.kinds
            for one in _first_measured(made, kind, protocols[0])
        ],
        "weights": {
            recipe.training.name: found[protocols[0]].weights
            for recipe, found in made.measured.items()
        },
        "rows": rows,
    }
