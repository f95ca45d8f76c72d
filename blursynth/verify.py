"""Whether data sets are what was written: everything below a folder is read again (law 9).

No byte may change unseen: those of a tar are covered by its sha256 in the index, the index by its
sha256 in the manifest; the manifest and plan.json hold digests of their own values, and must be
spelt as they are written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib

from .manifest import MANIFEST_NAME, PLAN_NAME, encode_manifest
from .packing import SPLITS
from .schema import SCHEMA_VERSION, encode_json
from .sources import clip_of, walk
from .verify_shard import ShardReport, read_shard

INDEXES = "[!.]*-??????.json"
SHAPING = ("schema", "kind", "options", "sources")


@dataclass(frozen=True)
class Fault:
    """What is wrong and where. place: a file or folder below the one that is verified."""

    place: str
    reason: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.place}{', ' if self.key else ''}{self.key}: {self.reason}"


@dataclass(frozen=True)
class Split:
    """A folder of shards. manifest: empty where there is none that can be gone by."""

    folder: Path
    manifest: dict
    is_finished: bool

    @property
    def listed(self) -> dict[str, dict]:
        """Name of a tar -> what the manifest says of it."""
        return {entry["tar"]: entry for entry in self.manifest.get("shards", [])}

    @property
    def shards(self) -> list[Path]:
        """The tars that are there or should be; those without index where the split is finished."""
        indexed = {p.with_suffix(".tar") for p in self.folder.glob(INDEXES)}
        found = self.folder.glob("[!.]*.tar") if self.is_finished else []
        return sorted({*indexed, *found, *(self.folder / tar for tar in self.listed)})


@dataclass(frozen=True)
class DataSet:
    """A folder with a plan and splits. faults: of its plan and its manifests."""

    folder: Path
    plan: dict
    splits: tuple[Split, ...]
    faults: tuple[Fault, ...]

    @property
    def described(self) -> dict:
        """What the plan says, or a manifest where the plan is not to be gone by; or nothing."""
        return next(filter(None, [self.plan, *(s.manifest for s in self.splits)]), {})


@dataclass(frozen=True)
class Verified:
    """What was read. unfinished: splits without a manifest. notes: worth a word, but no fault."""

    shards: int
    samples: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    unfinished: tuple[str, ...]


def count_shards(data_sets: Iterable[DataSet]) -> int:
    """How many there are to read."""
    return sum(len(split.shards) for data_set in data_sets for split in data_set.splits)


def verify(
    data_sets: Sequence[DataSet],
    root: Path,
    *,
    jobs: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Verified:
    """Reads every shard; `on_progress` is told how many are done. root: as places are told."""
    root = root.absolute()
    faults, notes, shards, samples = [], [], 0, 0
    for data_set in data_sets:
        reports = []
        for report in _reports(data_set, jobs):
            reports.append(report)
            on_progress(shards + len(reports))
        shards += len(reports)
        samples += sum(len(report.keys) for report in reports)
        faults += [*data_set.faults, *_shard_faults(reports, root)]
        faults += [*_double_keys(reports, root), *_split_faults(data_set, reports, root)]
        notes += _shared_clips(data_set, reports, root)
    unfinished = [place for data_set in data_sets for place in _unfinished(data_set, root)]
    return Verified(shards, samples, tuple(faults), tuple(notes), tuple(unfinished))


def _reports(data_set: DataSet, jobs: int) -> Iterator[ShardReport]:
    fingerprint = data_set.described.get("fingerprint")
    return joblib.Parallel(jobs, return_as="generator", batch_size=1)(
        joblib.delayed(read_shard)(path, split.listed.get(path.name), fingerprint)
        for split in data_set.splits
        for path in split.shards
    )


def _unfinished(data_set: DataSet, root: Path) -> list[str]:
    if not data_set.splits:
        return [place_of(data_set.folder, root)]
    return [place_of(s.folder, root) for s in data_set.splits if not s.is_finished]


@dataclass(frozen=True)
class Redrawn:
    """What `rerender` did. tolerance: by how much codes may differ; faults: the samples that do."""

    samples: int
    tolerance: int
    faults: tuple[Fault, ...]


def summary(verified: Verified, redrawn: Redrawn | None = None) -> str:
    """What was read, and whether it is intact, in one line."""
    faults = [*verified.faults, *(redrawn.faults if redrawn else ())]
    parts = [f"{_count(verified.samples, 'sample')} in {_count(verified.shards, 'shard')} read"]
    if redrawn:
        within = " (within 1: another processor type or package)" if redrawn.tolerance else ""
        parts.append(f"{_count(redrawn.samples, 'sample')} drawn anew{within}")
    places = len({fault.place for fault in faults})
    found = f"{_count(len(faults), 'fault')} in {_count(places, 'file')}"
    parts.append(found if faults else "intact")
    if verified.unfinished:
        parts.append(f"unfinished, the same command goes on: {', '.join(verified.unfinished)}")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def place_of(path: Path, root: Path) -> str:
    """The path below `root`, or its own name where it is `root` or a folder above."""
    above = (root, *root.parents)
    return path.name if path in above else path.relative_to(root).as_posix()


def refuse_inside(path: Path, what: str = "--out") -> None:
    """That `path` is in no folder of a data set, which holds nothing but its own: what goes on
    with the data set refuses other files there, and --overwrite removes them. what: to name."""
    above = Path(os.path.realpath(path.parent))
    for folder in (above, *above.parents):
        if (folder / PLAN_NAME).exists():
            raise ValueError(
                f"expected {what} outside of the folder of a data set, found {path} in {folder}, "
                f"which has a {PLAN_NAME}; put it elsewhere"
            )


# --- finding: plans and manifests --------------------------------------------------------------


def find_data_sets(root: Path) -> list[DataSet]:
    """The data sets below `root`, which may be one itself, or one of its splits."""
    if not root.is_dir():
        raise ValueError(f"expected a folder of data sets at {root}, found no such folder")
    root = root.absolute()
    files = list(walk(root, unreadable := []))
    if unreadable:
        raise ValueError(f"{root / unreadable[0].source}: {unreadable[0].reason}")
    ours = [p for p in files if p.match("*.tar") or p.match(INDEXES) or p.name == MANIFEST_NAME]
    splits = {path.parent for path in ours if path.parent.name in SPLITS}
    folders = {split.parent for split in splits}
    folders |= {path.parent for path in files if path.name == PLAN_NAME}
    if not folders:
        raise ValueError(
            f"expected shards (<data set>/<split>/*.tar with their .json) below {root}, found "
            "none; make some with `blursynth panorama` or `blursynth gopro`"
        )
    return [
        _open(folder, sorted(split for split in splits if split.parent == folder), root)
        for folder in sorted(folders)
    ]


def _open(folder: Path, split_folders: list[Path], root: Path) -> DataSet:
    """Its plan and its manifests; where `root` is a split, the plan is not below it."""
    plan, faults = {}, []
    if root not in split_folders:
        plan, faults = _read_checked(folder / PLAN_NAME, plan_reasons, root)
    splits = []
    for split_folder in split_folders:
        manifest, path = {}, split_folder / MANIFEST_NAME
        if path.exists():
            manifest, reasons = _read_checked(path, manifest_reasons, root)
            faults += reasons
        if plan and manifest and any(manifest[name] != plan[name] for name in SHAPING):
            faults.append(Fault(place_of(path, root), f"it tells other data than {PLAN_NAME}"))
        splits.append(Split(split_folder, manifest, path.exists()))
    return DataSet(folder, plan, tuple(splits), tuple(faults))


def _read_checked(
    path: Path, reasons_of: Callable[[dict, bytes], Iterator[str]], root: Path
) -> tuple[dict, list[Fault]]:
    """What a JSON file says, nothing where it is damaged; and what is wrong with it."""
    try:
        data = path.read_bytes()
        value = json.loads(data)
        reasons = list(reasons_of(value, data))
    except OSError as error:
        value, reasons = {}, [error.strerror or str(error)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        value, reasons = {}, ["it is damaged"]
    return ({} if reasons else value), [Fault(place_of(path, root), r) for r in reasons]


def plan_reasons(plan: dict, data: bytes) -> Iterator[str]:
    """What is wrong with a plan.json. data: its bytes; KeyError or TypeError where it is none."""
    yield from _shaping_reasons(plan)
    if data != encode_json(plan):
        yield "it is not as it was written"


def manifest_reasons(manifest: dict, data: bytes) -> Iterator[str]:
    """What is wrong with a manifest. data: its bytes; KeyError or TypeError where it is none."""
    yield from _shaping_reasons(manifest)
    if data != encode_manifest({k: v for k, v in manifest.items() if k != "sha256"}):
        yield "it is not as it was written (sha256)"
    totals = {n: sum(entry[n] for entry in manifest["shards"]) for n in ("samples", "bytes")}
    if manifest["totals"] != totals:
        yield f"expected totals of {totals}, found {manifest['totals']}"


def _shaping_reasons(value: dict) -> Iterator[str]:
    shaping = {name: value[name] for name in SHAPING}
    if value["schema"] != SCHEMA_VERSION:
        yield f"expected schema {SCHEMA_VERSION}, found {value['schema']!r}"
    elif value["fingerprint"] != hashlib.sha256(encode_json(shaping)).hexdigest():
        yield "its fingerprint is not that of its options and sources"


# --- what concerns several shards --------------------------------------------------------------


def _shard_faults(reports: Iterable[ShardReport], root: Path) -> Iterator[Fault]:
    for report in reports:
        for key, reason in report.faults:
            yield Fault(place_of(report.path, root), reason, key)


def _double_keys(reports: Iterable[ShardReport], root: Path) -> Iterator[Fault]:
    first: dict[str, Path] = {}
    for report in reports:
        for key in report.keys:
            other = first.setdefault(key, report.path)
            if other != report.path:
                where = place_of(other, root)
                yield Fault(place_of(report.path, root), f"the same key is in {where}", key)


def _split_faults(
    data_set: DataSet, reports: Sequence[ShardReport], root: Path
) -> Iterator[Fault]:
    """Law 6: no source, and where folders do not rule no clip, gives samples to both splits."""
    train, test = (_sources_in(split, reports) for split in SPLITS)
    for source in sorted(train & test):
        yield Fault(place_of(data_set.folder, root), f"{source} gives samples to train and test")
    folders_rule = any(told_split(source) for source in train | test)
    for split, sources in zip(SPLITS, (train, test), strict=True):
        for source in sorted(sources):
            expected = (told_split(source) or "train") if folders_rule else split
            if expected != split:
                reason = f"expected {source} in {expected}, found it in {split}"
                yield Fault(place_of(data_set.folder, root), reason)
    if data_set.described.get("kind") == "video" and not folders_rule:
        for clip in sorted({clip_of(s) for s in train} & {clip_of(s) for s in test}):
            reason = f"the clip {clip} gives samples to train and test"
            yield Fault(place_of(data_set.folder, root), reason)


def _shared_clips(
    data_set: DataSet, reports: Sequence[ShardReport], root: Path
) -> Iterator[str]:
    train, test = (_sources_in(split, reports) for split in SPLITS)
    shared = sorted({clip_of(s) for s in train} & {clip_of(s) for s in test})
    if shared and any(told_split(source) for source in train | test):
        place = place_of(data_set.folder, root)
        yield f"{place}: training and test scenes share the clips {', '.join(shared)}"


def told_split(source: str) -> str | None:
    """The split that a scene's folders tell."""
    return next((part for part in source.split("/")[:-1] if part in SPLITS), None)


def _sources_in(split: str, reports: Sequence[ShardReport]) -> set[str]:
    return {source for report in reports if report.split == split for source in report.sources}
