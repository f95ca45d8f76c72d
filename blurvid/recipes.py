"""The trainings and tests behind each table of the paper, at its settings (spec 1.5), as data.

A training that several rows share (the whole model on video stands in tables 1 and 3) is one
training: it is named after what it learns, not after the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blurvid import paper
from blurvid.cache import ShardCache
from blurvid.compute import ComputeSpec
from blurvid.model import COMPONENTS, ModelSpec
from blurvid.optimizer import OptimizerSpec
from blurvid.paper import PaperRow
from blurvid.plan import DataSpec, ReportSpec, RunSpec, TrainSpec
from blurvid.remote import RemoteFolder

TABLES = tuple(paper.TITLES)
CROSS_DATA, STAGED = "Cross-dataset", "jin2018"
EPOCHS, LEARNING_RATE = 80, 1e-4
BATCH_OF_SIDE = {128: 8, 256: 4}
COMMANDS = {
    "panorama": "blursynth panorama --src sun360/ --size {side} --frames {frames} --out {shards}",
    "video": "blursynth gopro --src gopro/ --n 7 --crop {side} --out {shards}",
}


@dataclass(frozen=True)
class Training:
    """What is learnt from which kind of blur. without: parts of the model and terms of the loss
    that are left out. side: of the training crops in pixels, as in the paper."""

    model: str
    kind: str
    frames: int
    side: int
    without: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its run folder: `full-video-3f`, `full-video-3f-without-itn-lw`."""
        left_out = "".join(f"-{part}" for part in self.without)
        return f"{self.model}-{self.kind}-{self.frames}f" + (left_out and f"-without{left_out}")


@dataclass(frozen=True)
class Recipe:
    """How a row of a table is made: a training, and the kind of blur that it is tested on."""

    paper: PaperRow
    training: Training

    @property
    def tested_on(self) -> str:
        return self.paper.kind


@dataclass(frozen=True)
class Scale:
    """How large all is made. steps None: the paper's epochs. side: the largest crop, batch: the
    largest batch, test_samples: the most that are tested (None: the paper's, and all). log_every:
    steps between two log lines."""

    name: str
    width: int = paper.WIDTH
    steps: int | None = None
    side: int | None = None
    batch: int | None = None
    test_samples: int | None = None
    log_every: int = 50

    @property
    def is_the_papers(self) -> bool:
        return self == SCALES["paper"]


SCALES = {
    "paper": Scale("paper"),
    "small": Scale("small", width=2, steps=20, side=32, batch=2, test_samples=4, log_every=5),
}


@dataclass(frozen=True)
class Supply:
    """Where the data come from. data_set_of: kind of blur -> name of the data set."""

    shards: Path | RemoteFolder
    data_set_of: dict[str, str]
    cache: ShardCache | None = None
    workers: int = 0


def recipes_of(table: str) -> tuple[Recipe, ...]:
    """The rows of "table1" ... "table4", in their order."""
    return tuple(Recipe(row, _training_of(row)) for row in paper.rows_of(table))


def needed(table: str) -> dict[str, tuple[int, int]]:
    """The kinds of blur that a table needs -> the number of frames and the side of its images."""
    found = {}
    for recipe in recipes_of(table):
        found[recipe.training.kind] = (recipe.training.frames, recipe.training.side)
        found[recipe.tested_on] = (recipe.paper.frames, recipe.paper.size)
    return found


def run_spec(training: Training, scale: Scale, supply: Supply) -> RunSpec:
    """The paper's settings, made smaller as far as the scale says."""
    side, batch = training.side, BATCH_OF_SIDE[training.side]
    report = ReportSpec(
        log_every=scale.log_every,
        validate_every=scale.steps,
        validate_samples=scale.test_samples,
    )
    return RunSpec(
        ModelSpec(
            name=training.model,
            frames=training.frames,
            width=scale.width,
            without=tuple(part for part in training.without if part in COMPONENTS),
        ),
        DataSpec(
            supply.shards,
            supply.data_set_of[training.kind],
            crop=min(side, scale.side or side),
            batch=min(batch, scale.batch or batch),
            workers=supply.workers,
            cache=supply.cache,
        ),
        TrainSpec(
            epochs=EPOCHS,
            steps=scale.steps,
            order="given",
            without=tuple(part for part in training.without if part not in COMPONENTS),
        ),
        OptimizerSpec(LEARNING_RATE, schedule="paper"),
        ComputeSpec(precision="fp32"),
        report,
    )


def settings(table: str, scale: Scale) -> list[str]:
    """Sentences for the head of the table."""
    recipes = recipes_of(table)
    if scale.is_the_papers:
        sides = sorted({r.training.side for r in recipes})
        crops = " and ".join(f"crops of {s} px in batches of {BATCH_OF_SIDE[s]}" for s in sides)
        said = [f"the paper's settings: {EPOCHS} epochs, width {scale.width}, {crops}"]
    else:
        said = [
            f"scale {scale.name}: {scale.steps} steps, width {scale.width}, crops of {scale.side} "
            f"px in batches of {scale.batch}, at most {scale.test_samples} test samples",
            "these are NO RESULTS: they show only that the recipe runs",
        ]
    if any(r.training.model == STAGED for r in recipes):
        said.append(f"{STAGED} learns in stages, which share this length among them")
    return said


def command_for(kind: str, *, frames: int, side: int, shards: object) -> str:
    """What makes such data."""
    return COMMANDS[kind].format(side=side, frames=frames, shards=shards)


def _training_of(row: PaperRow) -> Training:
    """Tested on the kind that it was trained on, but for the cross-data row of Table 2."""
    if row.name == CROSS_DATA:
        return Training("full", "panorama", row.frames, 128)
    return Training(row.model, row.kind, row.frames, row.size, row.without)
