"""Trains and evaluates the rows of a table of the paper, and goes on where it was stopped.

    recipes -> one run folder a training -> its evaluations -> the table, rewritten after each row

What is finished is not done again: a training whose `last` is at the plan's end, and an evaluation
of it on the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from blurvid.cache import ShardCache
from blurvid.checkpoint import Damaged, load_model
from blurvid.evaluate import EvaluationSpec, evaluate_model, sample_count
from blurvid.evaluated import FILE, FOLDER, Evaluated, read_runs
from blurvid.index import DataSet, Mixture, data_sets_under, find_mixture
from blurvid.plan import plan_run, shaping
from blurvid.protocols import PROTOCOLS
from blurvid.recipes import (
    Recipe,
    Scale,
    Supply,
    Training,
    command_for,
    needed,
    recipes_of,
    run_spec,
)
from blurvid.remote import RemoteFolder
from blurvid.reproduction import Reproduction, write_reproduction
from blurvid.run_folder import RunFolder
from blurvid.state import load_state
from blurvid.stream import read_samples
from blurvid.summary import checkpoint_facts, summary
from blurvid.tables import write_tables
from blurvid.train import train

SHOWN = ("sequence", "per-metric")  # primary here, and the paper's


@dataclass(frozen=True)
class Job:
    """Where and how the rows of a table are made. out: holds the run folders. say: prints a
    line."""

    supply: Supply
    out: Path
    scale: Scale
    device: torch.device
    say: Callable[[str], None] = print

    def folder(self, training: Training) -> RunFolder:
        return RunFolder(self.out / training.name)

    def tests(self, recipe: Recipe) -> Mixture:
        """What a recipe is tested on."""
        return find_mixture(
            self.supply.shards,
            split="test",
            frames=recipe.training.frames,
            name=self.supply.data_set_of[recipe.tested_on],
            cache=self.supply.cache,
        )


def reproduce(table: str, job: Job) -> Reproduction:
    """Every row of "table1" ... "table4"; `<out>/<table>.txt`, `.csv` and `.json` after each."""
    recipes = recipes_of(table)
    refuse_unfit_data(recipes, job)
    refuse_foreign_folders(recipes, job)
    measured: dict[Recipe, Mapping[str, Evaluated]] = {}
    for number, recipe in enumerate(recipes, 1):
        job.say(f"{table}, row {number} of {len(recipes)}: {recipe.paper.name}")
        try:
            finish_training(recipe.training, job)
            measured[recipe] = finish_evaluation(recipe, job)
        except KeyboardInterrupt:
            job.say("what is done is kept; the same `blurvid reproduce` goes on from here")
            raise
        made = Reproduction(table, job.scale, recipes, dict(measured))
        write_reproduction(job.out, made, SHOWN)
    return made


def refuse_unfit_data(recipes: Iterable[Recipe], job: Job) -> None:
    """ValueError for what would fail later, before hours of training: data that do not fit, with
    the command that makes some as large as the paper's."""
    for recipe in recipes:
        training, shards = recipe.training, job.supply.shards
        kind, side = training.kind, training.side
        try:
            plan_run(run_spec(training, job.scale, job.supply))
            kind, side = recipe.tested_on, recipe.paper.size
            job.tests(recipe)
        except ValueError as error:
            command = command_for(kind, frames=training.frames, side=side, shards=shards)
            raise ValueError(
                f"{training.name}: {error}; data as the paper's are made with: {command}"
            ) from error


def refuse_foreign_folders(recipes: Iterable[Recipe], job: Job) -> None:
    """ValueError for run folders in which a training could neither begin nor go on."""
    for training in {recipe.training: None for recipe in recipes}:
        folder = job.folder(training)
        is_trained(training, job)  # refuses a state of another training
        other = folder.path.is_file() or folder.path.is_dir() and any(folder.path.glob("[!.]*"))
        if other and not folder.options.exists():
            raise ValueError(
                f"{folder.path}: expected a run folder or nothing, found something else; move it "
                "away, or give another --out"
            )


# --- data -----------------------------------------------------------------------------------


def data_sets_for(
    table: str,
    shards: Path | RemoteFolder,
    *,
    names: Iterable[str] = (),
    cache: ShardCache | None = None,
) -> dict[str, str]:
    """The kinds of blur that a table needs -> the one data set of each.

    names: the only ones to take (none: all). ValueError where a kind has none, with the command
    that makes it, or several.
    """
    names, found = tuple(names), data_sets_under(shards, split="train")
    if unknown := set(names) - {data_set.name for data_set in found}:
        there = ", ".join(data_set.name for data_set in found)
        raise ValueError(f"{shards} holds no data set {min(unknown)!r} to train on, but: {there}")
    taken = [data_set for data_set in found if not names or data_set.name in names]
    kinds = {data_set.name: kind_of(data_set, cache) for data_set in taken}
    return {
        kind: _only_one(shards, kind, [name for name in kinds if kinds[name] == kind], like)
        for kind, like in needed(table).items()
    }


def kind_of(data_set: DataSet, cache: ShardCache | None = None) -> str:
    """ "panorama" or "video", as its first sample says of itself."""
    mixture = Mixture((data_set,), data_set.fewest_frames, cache=cache)
    (sample,) = read_samples(mixture, [0])
    return sample.meta["kind"]


def _only_one(
    shards: Path | RemoteFolder, kind: str, names: list[str], like: tuple[int, int]
) -> str:
    """like: the number of frames and the side of the paper's images."""
    if len(names) > 1:
        raise ValueError(
            f"{shards}: expected one data set of {kind} blur, found {', '.join(names)}; choose one "
            "with --data"
        )
    if not names:
        command = command_for(kind, frames=like[0], side=like[1], shards=shards)
        raise ValueError(
            f"{shards}: expected a data set of {kind} blur to train on, found none; make it with: "
            f"{command}"
        )
    return names[0]


# --- one row --------------------------------------------------------------------------------


def finish_training(training: Training, job: Job) -> None:
    """Begins it, goes on with it, or finds it done."""
    spec, folder = run_spec(training, job.scale, job.supply), job.folder(training)
    if is_trained(training, job):
        job.say(f"{folder.path}: trained already")
        return
    try:
        train(spec, folder, device=job.device, resume=folder.options.exists(), say=job.say)
    except Damaged as error:
        raise ValueError(f"{error}; remove {folder.path}, and it is made anew") from error


def is_trained(training: Training, job: Job) -> bool:
    """Whether `last` is at the plan's end; ValueError where it is of another training."""
    spec, folder = run_spec(training, job.scale, job.supply), job.folder(training)
    if not folder.last.exists():
        return False
    plan, compute = plan_run(spec), spec.compute.on(job.device)
    try:
        state = load_state(folder.last, shaping=shaping(spec, plan, compute), compute=compute)
    except Damaged:
        return False
    return state.step == state.validated == plan.steps


def finish_evaluation(recipe: Recipe, job: Job) -> Mapping[str, Evaluated]:
    """Protocol -> what was measured on the weights at the end of the schedule: none were chosen
    by the samples that they are tested on."""
    folder, tests = evaluation_folder(recipe, job), job.tests(recipe)
    found = _whole_evaluation(folder, tests, job)
    if found is not None:
        job.say(f"{folder}: evaluated already")
        return found
    last = job.folder(recipe.training).last
    job.say(f"evaluating on {sample_count(tests, job.scale.test_samples):,} samples")
    model = load_model(last, job.device)
    limited = EvaluationSpec(limit=job.scale.test_samples)
    evaluations = evaluate_model(model, tests, device=job.device, spec=limited)
    facts = checkpoint_facts(last)
    write_tables(folder, evaluations, [summary(e, facts, tuple(PROTOCOLS)) for e in evaluations])
    return _read(folder)


def evaluation_folder(recipe: Recipe, job: Job) -> Path:
    """`evaluation` in the run folder; across data `evaluation-<kind>`."""
    cross = recipe.tested_on != recipe.training.kind
    name = f"{FOLDER}-{recipe.tested_on}" if cross else FOLDER
    return job.folder(recipe.training).path / name


def _whole_evaluation(
    folder: Path, tests: Mixture, job: Job
) -> Mapping[str, Evaluated] | None:
    """None where there is none yet, or one of other weights or samples, or a damaged one."""
    last, stored = RunFolder(folder.parent).last, folder / FILE
    if not stored.is_file() or stored.stat().st_mtime_ns < last.stat().st_mtime_ns:
        return None
    try:
        found = _read(folder)
    except ValueError:
        return None
    samples = sample_count(tests, job.scale.test_samples)
    (fingerprint,) = (data_set.fingerprint for data_set in tests.data_sets)
    fits = all(
        (one.measured.fingerprint, one.samples, Path(one.checkpoint).name)
        == (fingerprint, samples, last.name)
        for one in found.values()
    )
    return found if fits else None


def _read(folder: Path) -> Mapping[str, Evaluated]:
    """One data set, under each protocol that is shown."""
    return {p: read_runs([folder], protocol=p)[0] for p in SHOWN}
