"""Sources to splits, and their samples to shards. Nothing is drawn: order comes from digests of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .shards import ShardName
from .sources import Panorama, Scene, clip_of, source_digest

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Take:
    """Samples of one source, by their numbers: a range or a tuple."""

    source: Panorama | Scene
    numbers: Sequence[int]


@dataclass(frozen=True)
class ShardPlan:
    """A shard that is to be made: its place and what goes into it, in this order."""

    name: ShardName
    takes: tuple[Take, ...]

    @property
    def samples(self) -> int:
        return sum(len(take.numbers) for take in self.takes)


# --- splits ------------------------------------------------------------------------------------


def split_by_hash(groups: Sequence[str], test_fraction: float) -> dict[str, str]:
    """Group -> train or test: the lowest digests are the test set, at least one; a lone one trains.
    """
    ordered = sorted(set(groups), key=source_digest)
    wanted = round(test_fraction * len(ordered))
    count = min(max(wanted, 1), len(ordered) - 1) if test_fraction > 0 else 0
    return {group: "test" if i < count else "train" for i, group in enumerate(ordered)}


def split_sources(
    sources: Sequence[Panorama | Scene], test_fraction: float, *, group_of: Callable[[str], str]
) -> dict[str, str]:
    """Source -> train or test: as the folders of that name say, else by group (law 6)."""
    names = [source.name for source in sources]
    told = {name: next((p for p in name.split("/")[:-1] if p in SPLITS), None) for name in names}
    if any(told.values()):
        return {name: split or "train" for name, split in told.items()}
    by_group = split_by_hash([group_of(name) for name in names], test_fraction)
    return {name: by_group[group_of(name)] for name in names}


def shared_clips(split_of: dict[str, str]) -> list[str]:
    """Source clips that have scenes on both sides of the split."""
    sides = {s: {clip_of(n) for n, split in split_of.items() if split == s} for s in SPLITS}
    return sorted(sides["train"] & sides["test"])


# --- shards ------------------------------------------------------------------------------------


def evenly_dealt(total: int, shares: dict[str, int]) -> dict[str, int]:
    """`total` in proportion to the shares; what is left over goes to the lowest digests."""
    whole = sum(shares.values())
    dealt = {name: total * share // whole for name, share in shares.items()}
    left = total - sum(dealt.values())
    for name in sorted(shares, key=source_digest)[:left]:
        dealt[name] += 1
    return dealt


def pack_whole(takes: Iterable[Take], samples_per_shard: int) -> list[tuple[Take, ...]]:
    """Whole sources to shards of about `samples_per_shard`: closed where that is nearest."""
    shards: list[list[Take]] = []
    count = 0
    for take in takes:
        size = len(take.numbers)
        if not shards or abs(count - samples_per_shard) <= abs(count + size - samples_per_shard):
            shards.append([])
            count = 0
        shards[-1].append(take)
        count += size
    return [tuple(shard) for shard in shards]


def pack_cut(takes: Iterable[Take], samples_per_shard: int) -> list[tuple[Take, ...]]:
    """Sources to shards of exactly `samples_per_shard`, cutting sources where a shard is full."""
    shards: list[list[Take]] = []
    room = 0
    for take in takes:
        numbers = take.numbers
        while numbers:
            if not room:
                shards.append([])
                room = samples_per_shard
            shards[-1].append(Take(take.source, numbers[:room]))
            numbers, room = numbers[room:], max(room - len(numbers), 0)
    return [tuple(shard) for shard in shards]
