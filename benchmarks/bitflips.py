"""Single bytes changed at random in every file of a data set: does `blursynth verify` find each?

    python benchmarks/bitflips.py [--flips 500] [--seed 0]

Makes a small panorama and a small video data set from procedural sources. Half of the flips fall
anywhere, each byte alike; the other half are spread evenly over the kinds of place.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from blursynth import generate, making, plan, procedural, sources, spec, verify
from blursynth.card import CARD_NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = make_data_sets(Path(folder))
        assert not faults_in(root), "the data sets are damaged before the first flip"
        made, found = Counter(), Counter()
        for kind, path, at, change in drawn_flips(root, options.flips, options.seed):
            flip(path, at, change)
            made[kind] += 1
            found[kind] += bool(faults_in(root))
            flip(path, at, change)
        print_table(made, found)


def make_data_sets(folder: Path) -> Path:
    """Both kinds of data set, a few samples each."""
    wanted = procedural.SourcesSpec(panoramas=3, hdr=0, width=256, scenes=2, frames=9)
    procedural.write_sources(folder / "src", wanted)
    root = folder / "shards"
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16), frames="all")
    data_set = spec.DataSetOptions("panorama", samples_per_shard=4)
    found, _ = sources.find_panoramas(folder / "src" / "sun360", digests_of(folder))
    planned = plan.plan_panoramas(
        root, found, options=options, data_set=data_set, per_panorama=3
    )
    run = generate.RunOptions(jobs=1)
    maker = making.PanoramaMaker("panorama", options)
    generate.generate(planned, maker, run=run, failures=[])
    options = spec.VideoOptions(n=3, crop=24)
    data_set = spec.DataSetOptions("gopro", samples_per_shard=4)
    found, _ = sources.find_scenes(folder / "src" / "gopro", digests_of(folder))
    planned = plan.plan_windows(root, found, options=options, data_set=data_set)
    generate.generate(planned, making.WindowMaker("gopro", options), run=run, failures=[])
    return root


def digests_of(folder: Path) -> sources.Digests:
    return sources.Digests(folder / "digests.json")


def faults_in(root: Path) -> tuple[verify.Fault, ...]:
    return verify.verify(verify.find_data_sets(root), root, jobs=1).faults


# --- flips -------------------------------------------------------------------------------------


def drawn_flips(root: Path, count: int, seed: int):
    """(kind of place, file, position, what the byte is xored with)."""
    rng = np.random.default_rng(seed)
    files = (path for path in root.rglob("[!.]*.*") if path.is_file())
    paths = sorted(path for path in files if path.name not in CARD_NAMES)
    places = [place for path in paths for place in places_of(path)]
    sizes = np.array([stop - start for *_, start, stop in places])
    kinds = sorted({kind for kind, *_ in places})
    for number in range(count):
        weights = sizes.astype(float)
        if number % 2:
            weights *= [kind == kinds[number // 2 % len(kinds)] for kind, *_ in places]
        kind, path, start, stop = places[rng.choice(len(places), p=weights / weights.sum())]
        yield kind, path, int(rng.integers(start, stop)), int(rng.integers(1, 256))


def places_of(path: Path):
    """(kind, file, first byte, byte after the last) of every part of a file; they cover it."""
    if path.suffix != ".tar":
        kind = path.name if path.name in ("manifest.json", "plan.json") else "index"
        return [(kind, path, 0, path.stat().st_size)]
    places, at = [], 0
    with tarfile.open(path) as tar:
        for member in tar:
            end = member.offset_data + member.size
            padded = -(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            data = "metadata" if member.name.endswith(".json") else "image"
            places += [
                ("tar header", path, at, member.offset_data),
                (data, path, member.offset_data, end),
                ("padding", path, end, padded),
            ]
            at = padded
    places.append(("end blocks", path, at, path.stat().st_size))
    return [place for place in places if place[2] < place[3]]


def flip(path: Path, at: int, change: int) -> None:
    """Done twice, it undoes itself."""
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ change]))


def print_table(made: Counter, found: Counter) -> None:
    print("| place | bytes changed | found |\n|---|---|---|")
    for kind in sorted(made):
        print(f"| {kind} | {made[kind]} | {found[kind]} |")
    print(f"| all | {made.total()} | {found.total()} |")


if __name__ == "__main__":
    main()
