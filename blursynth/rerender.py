"""Samples of data sets drawn anew from their sources, and compared (law 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import joblib
import numpy as np

from .jobs import begin_job
from .making import PanoramaMaker, WindowMaker
from .machines import package_versions, processor_type
from .manifest import DIGESTS_NAME
from .options import options_from_dict
from .packing import Take
from .schema import IndexedSample, Sample, ShardIndex, decode_index
from .shards import Failure, as_stored
from .sources import Digests, Panorama, Scene, find_panoramas, find_scenes, source_digest
from .verify import DataSet, Fault, Redrawn, Split, place_of
from .verify_shard import read_sample

MAKERS = {"panorama": PanoramaMaker, "video": WindowMaker}
NOISE_META = ("read_noise", "shot_noise")
FINDERS = {"panorama": find_panoramas, "video": find_scenes}


@dataclass(frozen=True)
class _Shard:
    """What samples can be drawn from. tolerance: how far their pixels may differ."""

    tar: Path
    index: ShardIndex
    maker: PanoramaMaker | WindowMaker
    sources: dict[str, Panorama | Scene]
    tolerance: int


def rerender(
    data_sets: Sequence[DataSet],
    root: Path,
    src: Path,
    *,
    count: int,
    jobs: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Redrawn:
    """Draws `count` samples, evenly over the shards of the data sets whose sources are below `src`.

    A larger count draws the same samples and more. ValueError where sources are not as they were.
    """
    shards = [shard for data_set in data_sets for shard in _shards(data_set, src)]
    if not shards:
        raise ValueError(
            f"expected the sources of a data set below {src}, found none of theirs; name the "
            "folder that it was made from with --src"
        )
    drawn = list(islice(_evenly([len(shard.index.samples) for shard in shards]), count))
    entries = [(shards[at], shards[at].index.samples[number]) for at, number in drawn]
    tasks = [joblib.delayed(_difference)(*_task(shard, entry)) for shard, entry in entries]
    faults = []
    reasons = joblib.Parallel(jobs, return_as="generator", batch_size=1)(tasks)
    for done, ((shard, entry), reason) in enumerate(zip(entries, reasons, strict=True), 1):
        if reason:
            faults.append(Fault(place_of(shard.tar, root.absolute()), reason, entry.key))
        on_progress(done)
    return Redrawn(len(drawn), max((shard.tolerance for shard, _ in entries), default=0), tuple(faults))


def _evenly(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(shard, sample) numbers, each once: round by round through all shards, in a drawn order."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(size) for size in sizes]
    for one_round in range(max(sizes, default=0)):
        for shard in rng.permutation(len(sizes)):
            if one_round < sizes[shard]:
                yield int(shard), int(orders[shard][one_round])


# --- what there is to draw from ----------------------------------------------------------------


def _shards(data_set: DataSet, src: Path) -> Iterator[_Shard]:
    """The shards with an index, if the sources of the data set are below `src`."""
    told = data_set.described
    if not told:
        return
    sources = _sources(told, src, data_set.folder)
    if not sources:
        return
    options = options_from_dict(told["kind"], told["options"])
    maker = MAKERS[told["kind"]](told["options"]["name"], options)
    for split in data_set.splits:
        for tar in split.shards:
            index_path = tar.with_suffix(".json")
            if tar.exists() and index_path.exists():
                index = decode_index(index_path.read_bytes(), str(index_path))
                yield _Shard(tar, index, maker, sources, _tolerance(split))


def _sources(told: dict, src: Path, folder: Path) -> dict[str, Panorama | Scene]:
    """Digest of the name -> source, of those that the data set was made of; ValueError where some
    of them, but not all, are missing, or where one has changed."""
    try:
        found, _ = FINDERS[told["kind"]](src, Digests(folder / DIGESTS_NAME))
    except ValueError:
        return {}
    by_name = {source.name: source for source in found}
    made_of = {name: rest for name, *rest in told["sources"]}
    if not made_of.keys() & by_name.keys():
        return {}
    for name, before in made_of.items():
        now = by_name.get(name)
        if now is None or [now.size_bytes, now.sha256] != before:
            state = "missing" if now is None else "changed"
            raise ValueError(
                f"expected the sources of {folder} below {src} as they were, found {name} {state}"
            )
    return {source_digest(name): by_name[name] for name in made_of}


def _tolerance(split: Split) -> int:
    """0 where the shards were made with these packages on this type of processor, else 1."""
    run = split.manifest.get("run", {})
    made_with = run.get("versions"), run.get("machine", {}).get("processor")
    return 0 if not run or made_with == (package_versions(), processor_type()) else 1


# --- drawing and comparing ---------------------------------------------------------------------


def _task(shard: _Shard, entry: IndexedSample) -> tuple:
    _, digest, number = entry.key.rsplit("-", 2)
    take = Take(shard.sources[digest], (int(number),))
    return shard.maker, take, shard.tar, entry, shard.index.image_format, shard.tolerance


def _difference(
    maker: PanoramaMaker | WindowMaker,
    take: Take,
    tar: Path,
    entry: IndexedSample,
    image_format: str,
    tolerance: int,
) -> str:
    """One joblib task: in what the stored sample is not what is drawn now; nothing if it is."""
    begin_job()
    try:
        with open(tar, "rb") as file:
            stored, _ = read_sample(file, entry)
        (drawn,) = maker.samples(take)
    except (ValueError, OSError) as error:
        return f"it cannot be drawn anew: {error}"
    if isinstance(drawn, Failure):
        return f"it cannot be drawn anew: {drawn.reason}"
    return _differing(stored, as_stored(drawn, image_format)[1], tolerance)


def _differing(stored: Sample, drawn: Sample, tolerance: int) -> str:
    """Nothing where they are alike. Noise may differ as a whole where a code below it does, so with
    a tolerance a noisy blur is not compared."""
    pairs = [(stored.frames, drawn.frames), (stored.blur, drawn.blur)]
    if any(one.shape != other.shape for one, other in pairs):
        return "drawn anew it has another size or number of frames"
    if tolerance and (stored.meta.keys() & NOISE_META):
        pairs.pop()
    most = max(int(np.abs(one.astype(int) - other).max()) for one, other in pairs)
    if most > tolerance:
        return f"drawn anew it differs by up to {most}, more than {tolerance}"
    if stored.meta != drawn.meta and not tolerance:
        return "drawn anew it has other metadata"
    return ""
