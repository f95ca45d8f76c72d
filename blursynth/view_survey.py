"""What the splits of data sets hold, from one pass over their indexes, and the samples drawn there.

A draw depends on the seed and on the samples' keys alone: the samples with the lowest ranks are
taken, so that more samples add to those drawn before, and their shards do not matter.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .schema import IndexedSample, ShardIndex, check_index, decode_index
from .sources import source_digest
from .verify import Split

UNNAMED = "(sources that no index names)"


@dataclass(frozen=True)
class Drawn:
    """A sample and the tar that holds it. rank: what the draw goes by."""

    rank: bytes
    tar: Path
    sample: IndexedSample


@dataclass
class SplitSurvey:
    """What a split holds. totals: of samples, shards, bytes, and tars without an index.

    looks: (size_hw, format, frames) -> samples. sources: name -> samples. failures: (source,
    reason). gaps: (file, reason) of what cannot be shown. drawn: by rank; shown: those that play.
    """

    split: Split
    totals: Counter = field(default_factory=Counter)
    looks: Counter = field(default_factory=Counter)
    sources: Counter = field(default_factory=Counter)
    failures: set[tuple[str, str]] = field(default_factory=set)
    gaps: list[tuple[Path, str]] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    shown: list[Drawn] = field(default_factory=list)


def survey_split(
    split: Split, *, seed: int, most: int, on_shard: Callable[[], None] = lambda: None
) -> SplitSurvey:
    """Reads the indexes of a split, one at a time, and draws at most `most` of its samples."""
    found = SplitSurvey(split, failures=_listed_failures(split))
    for tar in split.shards:
        try:
            size = tar.stat().st_size
            index = _read_index(tar)
            _add(found, tar, index, seed, most)
            if size != index.tar_bytes:
                reason = f"it has {size} bytes, its index says {index.tar_bytes}"
                found.gaps.append((tar, reason))
        except (ValueError, OSError) as error:
            found.gaps.append((tar, said(error)))
        on_shard()
    indexless = set(split.folder.glob("[!.]*.tar")) - set(split.shards)
    found.totals["without index"] = len(indexless)
    return found


def said(error: Exception) -> str:
    """An error in one line, without the folders of a file."""
    if isinstance(error, OSError) and error.strerror:
        name = f"{Path(error.filename).name}: " if error.filename else ""
        return f"{name}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _read_index(tar: Path) -> ShardIndex:
    path = tar.with_suffix(".json")
    index = decode_index(path.read_bytes(), path.name)
    check_index(index)
    return index


def _add(found: SplitSurvey, tar: Path, index: ShardIndex, seed: int, most: int) -> None:
    found.sources.update(samples_of_sources(index))
    found.totals.update(samples=len(index.samples), shards=1, bytes=index.tar_bytes)
    frames = Counter(sample.frame_count for sample in index.samples)
    found.looks.update({(index.size_hw, index.image_format, k): c for k, c in frames.items()})
    found.failures.update(index.failures)
    ranked = (Drawn(rank_of(seed, one.key), tar, one) for one in index.samples)
    found.drawn = lowest(most, [*found.drawn, *ranked])


def samples_of_sources(index: ShardIndex) -> Counter:
    """How many samples each source has in a shard, by the digests in the samples' keys."""
    names = {source_digest(source): source for source in index.sources}
    digests = Counter(sample.key.rpartition("-")[0].rpartition("-")[2] for sample in index.samples)
    counted: Counter = Counter()
    for digest, count in digests.items():
        counted[names.get(digest, UNNAMED)] += count
    return counted


def _listed_failures(split: Split) -> set[tuple[str, str]]:
    """Those of the manifest, which holds also the sources that gave no shard."""
    listed = split.manifest.get("failures", [])
    rows = listed if isinstance(listed, list) else []
    return {(str(r[0]), str(r[1])) for r in rows if isinstance(r, list) and len(r) == 2}


# --- drawing -----------------------------------------------------------------------------------


def rank_of(seed: int, key: str) -> bytes:
    """32 bytes that order samples at random, of the seed and the sample's key."""
    return hashlib.sha256(f"{seed} {key}".encode()).digest()


def lowest(most: int, drawn: Sequence[Drawn]) -> list[Drawn]:
    """At most `most` of them, by rank."""
    return heapq.nsmallest(most, drawn, key=lambda one: (one.rank, one.tar))


def spread(sizes: Sequence[int], total: int) -> list[int]:
    """How many to take of groups of these sizes, `total` in all where there are as many: as evenly
    as the sizes allow, the first groups one more where it does not come out even."""
    taken = [0] * len(sizes)
    while total > 0 and (open_groups := [k for k, size in enumerate(sizes) if taken[k] < size]):
        share = max(total // len(open_groups), 1)
        for k in open_groups[:total]:
            more = min(share, sizes[k] - taken[k])
            taken[k] += more
            total -= more
    return taken
