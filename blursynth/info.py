"""What data sets hold, in words: read from manifests and indexes, never from the images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .generate import RunResult
from .manifest import MANIFEST_NAME
from .plan import DataSetPlan
from .schema import SCHEMA_VERSION, ShardIndex, decode_index


def run_summary(plan: DataSetPlan, result: RunResult) -> str:
    """One line: what there is now, and how fast it was made."""
    counts = _counts(result.indexes)
    count = len(result.failures)
    failed = f", {count} source{'s' if count > 1 else ''} left out" if count else ""
    if result.missing:
        shards = "1 shard" if result.missing == 1 else f"{result.missing} shards"
        failed += (
            f", {shards} of other parts not there yet (the part that ends last writes the manifest)"
        )
    if not result.made_samples:
        return f"{plan.folder}: already complete: {counts or 'nothing'}{failed}"
    rate = result.made_samples / result.seconds
    made = f"made {result.made_samples} in {result.seconds:.1f} s ({rate:.1f} samples/s)"
    return f"{plan.folder}: {counts}{failed}; {made}"


def empty_splits(indexes: tuple[ShardIndex, ...]) -> list[str]:
    """Splits that were planned and hold no sample, since all their sources failed."""
    filled = {index.split for index in indexes if index.samples}
    return sorted({index.split for index in indexes} - filled)


def _counts(indexes: tuple[ShardIndex, ...]) -> str:
    parts = []
    for split in sorted({index.split for index in indexes}, reverse=True):
        those = [index for index in indexes if index.split == split]
        samples = sum(len(index.samples) for index in those)
        parts.append(f"{samples} {split} samples in {len(those)} shard{'s' if len(those) > 1 else ''}")
    return ", ".join(parts)


def describe(root: Path) -> str:
    """Every data set below `root`, a paragraph each; ValueError where there is none."""
    if not root.is_dir():
        raise ValueError(f"expected a folder of data sets at {root}, found no such folder")
    folders = sorted({path.parent for path in root.rglob("*.tar")})
    if not folders:
        raise ValueError(
            f"expected shards (<data set>/<split>/*.tar with their .json) below {root}, found "
            "none; make some with `blursynth panorama` or `blursynth gopro`"
        )
    return "\n\n".join(_describe_split(folder) for folder in folders)


def _describe_split(folder: Path) -> str:
    indexes = [
        decode_index(path.with_suffix(".json").read_bytes(), str(path.with_suffix(".json")))
        for path in sorted(folder.glob("*.tar"))
        if path.with_suffix(".json").exists()
    ]
    lines = [f"{folder}"]
    lines.append(f"  samples      {sum(len(i.samples) for i in indexes)}")
    lines += [
        f"  damaged      {index.tar} has {size} bytes, its index says {index.tar_bytes}"
        for index in indexes
        if (size := (folder / index.tar).stat().st_size) != index.tar_bytes
    ]
    lines.append(f"  shards       {len(indexes)}, {_megabytes(sum(i.tar_bytes for i in indexes))}")
    if indexes:
        lines += _describe_images(indexes)
    manifest = folder / MANIFEST_NAME
    if manifest.exists():
        lines += _describe_manifest(manifest)
    else:
        lines.append("  unfinished   there is no manifest yet; the same command goes on")
    return "\n".join(lines)


def _describe_images(indexes: list[ShardIndex]) -> list[str]:
    frames = sorted({s.frame_count for i in indexes for s in i.samples})
    sizes = sorted({i.size_hw for i in indexes if i.samples})
    spread = f"{frames[0]}" if len(frames) == 1 else f"{frames[0]} to {frames[-1]}" if frames else "0"
    sources = {source for i in indexes for source in i.sources}
    return [
        f"  images       {', '.join(f'{w}x{h}' for h, w in sizes)}, {indexes[0].image_format}, "
        f"{spread} frames beside each blur",
        f"  sources      {len(sources)}",
    ]


def _describe_manifest(path: Path) -> list[str]:
    try:
        return list(_lines_of(path, json.loads(path.read_bytes())))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is damaged; `blursynth verify` says what else is, and without the manifest the "
            "command that made it writes it anew"
        ) from error


def _lines_of(path: Path, manifest: dict) -> Iterator[str]:
    if manifest.get("schema") != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: expected schema {SCHEMA_VERSION}, found {manifest.get('schema')!r}; "
            "make the shards anew with this version of blursynth"
        )
    options = manifest["options"]
    yield f"  kind         {manifest['kind']}, response {options['response']}, seed {options['seed']}"
    for quantity, text in (
        ("n", "frames averaged"),
        ("max_step_px", "largest step between two of them, pixels"),
        ("clipped", "clipped share of the middle frame"),
    ):
        if one := manifest["statistics"].get(quantity):
            mean = one["sum"] / one["count"]
            spread = f"{mean:.3g} on average, {one['min']:.3g} to {one['max']:.3g}"
            yield f"  {quantity:12} {spread} ({text})"
    yield from (f"  left out     {source}: {reason}" for source, reason in manifest["failures"])
    yield from (f"  note         {note}" for note in manifest["notes"])
    speed, fingerprint = manifest["run"]["samples_per_second"], manifest["fingerprint"]
    yield f"  made         {speed:.1f} samples/s; fingerprint {fingerprint[:16]}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
