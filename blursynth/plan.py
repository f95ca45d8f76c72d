"""(sources, options, seed) -> samples without pixels, and their shards.

The only file that draws random numbers. What a sample is depends on its source's name, its number
and the options alone, never on other sources, jobs or the clock (spec 2.4, laws 1 and 2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from . import rotation
from .camera import Camera
from .files import AnyPath
from .motion import enough_frames
from .options import options_to_dict
from .packing import (
    SPLITS,
    ShardPlan,
    Take,
    evenly_dealt,
    pack_cut,
    pack_whole,
    shared_clips,
    split_sources,
)
from .schema import SCHEMA_VERSION, encode_json
from .shards import Failure, ShardName
from .sources import Panorama, Scene, clip_of, source_digest
from .spec import (
    MOST_SAMPLES,
    DataSetOptions,
    PanoramaOptions,
    PanoramaSpec,
    RotationOptions,
    VideoOptions,
    WindowSpec,
)

INITIAL_PITCH_DEG = 45.0
SHAKE_TERMS = 4
SHAKE_SHARE = 0.25  # of the angle between the ends: standard deviation of the slowest term
SHAKE_BOUND = 3.0  # standard deviations
NOISE_STREAM = 1  # apart from what the sample itself is drawn from


# --- identity --------------------------------------------------------------------------------


def sample_key(data_set: str, source: str, number: int) -> str:
    """`panorama-3f9a01bc4d5e6f70-000007`."""
    return f"{data_set}-{source_digest(source)}-{number:06d}"


def _generator(seed: int, source: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, int(source_digest(source), 16), number])


def noise_generator(seed: int, source: str, number: int) -> np.random.Generator:
    """What the noise of a sample is drawn from: nothing else of it depends on that."""
    return np.random.default_rng([seed, int(source_digest(source), 16), number, NOISE_STREAM])


def refuse_collisions(sources: Iterable[Panorama | Scene]) -> None:
    """That no two sources share a digest; a matter of 2^-64, but keys must be unique."""
    seen: dict[str, str] = {}
    for source in sources:
        other = seen.setdefault(source_digest(source.name), source.name)
        if other != source.name:
            raise ValueError(f"the sources {other} and {source.name} have the same digest, "
                             "so their samples would have the same keys; rename one")


# --- panoramas -------------------------------------------------------------------------------


def panorama_spec(
    data_set: str, source: str, number: int, options: PanoramaOptions
) -> PanoramaSpec:
    """Draws the exposure of one sample (spec 1.1): the same numbers whatever the options are."""
    rng = _generator(options.seed, source, number)
    yaw, pitch, *beta, coin, crop_x, crop_y = rng.random(8)
    limit = np.sin(np.radians(INITIAL_PITCH_DEG))
    initial = rotation.quat_looking_at(
        360 * yaw - 180, np.degrees(np.arcsin((2 * pitch - 1) * limit))
    )
    beta_deg = (2 * np.array(beta) - 1) * options.rotation.max_angle_deg
    ends = (initial, rotation.multiply(initial, rotation.quat_from_euler(beta_deg)))
    if coin < 0.5:
        ends = ends[::-1]
    shake_deg = _shake_deg(rng, ends) if options.rotation.path == "shake" else ()
    camera = _cut(options.camera.rendered(), options.camera.size, crop_x, crop_y)
    n = frame_count(beta_deg, options.rotation)
    if (most := options.rotation.max_step_px) is not None:
        n = enough_frames(camera, ends, n, max_step=most, shake_deg=shake_deg)
    return PanoramaSpec(
        key=sample_key(data_set, source, number),
        source=source,
        camera=camera,
        beta_deg=tuple(beta_deg.tolist()),
        quat_first_last=tuple(tuple(end.tolist()) for end in ends),
        n=n,
        times=frame_times(options.frames, n),
        shake_deg=shake_deg,
    )


def _shake_deg(
    rng: np.random.Generator, ends_wxyz: Sequence[np.ndarray]
) -> tuple[tuple[float, ...], ...]:
    """(K, 3) coefficients of `rotation.shaken_path`: normal, with standard deviations of a share of
    the angle between the ends that falls with k^2, none beyond three of them.

    The signs are fair, so that the path is as likely as the one that runs backwards.
    """
    angle_deg = np.linalg.norm(rotation.rotation_vector_deg(*ends_wxyz))
    drawn = np.clip(rng.standard_normal((SHAKE_TERMS, 3)), -SHAKE_BOUND, SHAKE_BOUND)
    falling = SHAKE_SHARE * angle_deg / np.arange(1, SHAKE_TERMS + 1) ** 2
    return tuple(tuple(row.tolist()) for row in falling[:, None] * drawn)


def frame_count(beta_deg: np.ndarray, options: RotationOptions) -> int:
    """n = c + slope |beta|, the nearest odd number (of two equally near, the greater)."""
    wanted = options.c + options.slope * float(np.linalg.norm(beta_deg))
    return 2 * int(np.floor(wanted / 2)) + 1


def frame_times(frames: str, n: int) -> tuple[float, ...]:
    """The times of the stored frames: 0, 1/2, 1; k/6; or those of all n."""
    count = n if frames == "all" else int(frames)
    return tuple(k / (count - 1) for k in range(count))


def _cut(camera: Camera, size: int, x: float, y: float) -> Camera:
    """A square of `size` pixels out of the camera's image, at the fractions x and y of its play."""
    height, width = camera.size_hw
    left, top = int(x * (width - size + 1)), int(y * (height - size + 1))
    principal_x, principal_y = camera.principal_xy
    return replace(
        camera, size_hw=(size, size), principal_xy=(principal_x - left, principal_y - top)
    )


# --- video -----------------------------------------------------------------------------------


def window_starts(numbers: Sequence[int], options: VideoOptions) -> list[int]:
    """Positions at which n frames without a gap in their numbers begin, `stride` apart in each run.

    Raises ValueError where there is none.
    """
    numbers = np.asarray(numbers)
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    starts = []
    for run in np.split(np.arange(len(numbers)), breaks):
        starts.extend(run[: max(len(run) - options.n + 1, 0) : options.stride].tolist())
    if not starts:
        longest = max(len(run) for run in np.split(numbers, breaks))
        raise ValueError(
            f"expected {options.n} consecutive frames, found {longest}; choose a smaller --n"
        )
    return starts


def check_scene(scene: Scene, options: VideoOptions) -> None:
    """That a window and a crop fit into the scene."""
    height, width = scene.size_hw
    if options.crop > min(height, width):
        raise ValueError(
            f"expected frames of at least {options.crop}x{options.crop}, "
            f"found {width}x{height}; choose a smaller --crop"
        )
    window_starts(scene.numbers, options)


def fitting_scenes(
    scenes: Sequence[Scene], options: VideoOptions
) -> tuple[list[Scene], list[Failure]]:
    """Those into which a window and a crop fit; ValueError where there is none."""
    fitting, failures = [], []
    for scene in scenes:
        try:
            check_scene(scene, options)
            fitting.append(scene)
        except ValueError as error:
            failures.append(Failure(scene.name, str(error)))
    if not fitting:
        raise ValueError(f"no scene can be used; {failures[0].source}: {failures[0].reason}")
    return fitting, failures


def window_spec(
    data_set: str, scene: Scene, number: int, starts: Sequence[int], options: VideoOptions
) -> WindowSpec:
    """Draws the crop of one sample: the window `number` counts round by round through all."""
    rng = _generator(options.seed, scene.name, number)
    (height, width), side = scene.size_hw, options.crop
    left, top = rng.integers([width - side + 1, height - side + 1]).tolist()
    times = frame_times(options.frames, options.n)
    return WindowSpec(
        key=sample_key(data_set, scene.name, number),
        scene=scene.name,
        start=starts[number % len(starts)],
        n=options.n,
        stored=tuple(int(t * (options.n - 1) + 0.5) for t in times),
        crop_xywh=(left, top, side, side),
    )


def window_rank(scene: str, windows: int, total: int, seed: int) -> list[int]:
    """The numbers of the first `total` samples of a scene: whole rounds, then a drawn part of one.

    A smaller total takes a part of what a larger one takes.
    """
    rounds, rest = divmod(total, windows)
    drawn = _generator(seed, scene, -1 % 2**32).permutation(windows)[:rest] + rounds * windows
    return [*range(rounds * windows), *sorted(drawn.tolist())]


def fingerprint_of(kind: str, options: dict, sources: Sequence[Panorama | Scene]) -> str:
    """sha256 of all that shapes the data: schema, kind, options, ordered sources with digests."""
    listed = [[s.name, s.size_bytes, s.sha256] for s in sources]
    whole = {"schema": SCHEMA_VERSION, "kind": kind, "options": options, "sources": listed}
    return hashlib.sha256(encode_json(whole)).hexdigest()


# --- the plan of a data set ------------------------------------------------------------------


@dataclass(frozen=True)
class DataSetPlan:
    """Everything that is to be made under one name, before the first pixel."""

    kind: str
    folder: AnyPath
    options: dict
    sources: tuple[Panorama | Scene, ...]
    shards: tuple[ShardPlan, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self.kind, self.options, self.sources)


def plan_panoramas(
    out: AnyPath,
    sources: Sequence[Panorama],
    *,
    options: PanoramaOptions,
    data_set: DataSetOptions,
    per_panorama: int,
) -> DataSetPlan:
    """Whole panoramas to shards; each gives `per_panorama` samples, or its share of a total."""
    if not 1 <= per_panorama <= MOST_SAMPLES:
        raise ValueError(
            f"expected --per-panorama from 1 to {MOST_SAMPLES:,}, found {per_panorama:,}"
        )
    sources = sources[: data_set.limit]
    refuse_collisions(sources)
    split_of = split_sources(sources, data_set.test_fraction, group_of=str)
    shards = []
    for split, total in zip(SPLITS, (data_set.train_total, data_set.test_total), strict=True):
        members = [s for s in sources if split_of[s.name] == split]
        counts = {s.name: per_panorama for s in members}
        if total is not None and members:
            counts = evenly_dealt(total, {s.name: 1 for s in members})
        takes = [Take(s, range(counts[s.name])) for s in members if counts[s.name]]
        shards += _named(out, data_set, split, pack_whole(takes, data_set.samples_per_shard))
    _refuse_no_samples(shards)
    shaping = options_to_dict(options, data_set, per_panorama=per_panorama)
    return DataSetPlan("panorama", out / data_set.name, shaping, tuple(sources), tuple(shards))


def plan_windows(
    out: AnyPath, sources: Sequence[Scene], *, options: VideoOptions, data_set: DataSetOptions
) -> DataSetPlan:
    """Windows of every scene to shards, in order of time, so that each frame is decoded once."""
    sources = sources[: data_set.limit]
    refuse_collisions(sources)
    split_of = split_sources(sources, data_set.test_fraction, group_of=clip_of)
    windows = {s.name: len(window_starts(s.numbers, options)) for s in sources}
    shards = []
    for split, total in zip(SPLITS, (data_set.train_total, data_set.test_total), strict=True):
        members = [s for s in sources if split_of[s.name] == split]
        counts = {s.name: windows[s.name] * options.crops_per_window for s in members}
        if total is not None and members:
            counts = evenly_dealt(total, counts)
        takes = []
        for scene in members:
            count, round_size = counts[scene.name], windows[scene.name]
            numbers = window_rank(scene.name, round_size, count, options.seed)
            takes.append(Take(scene, tuple(sorted(numbers, key=lambda k: (k % round_size, k)))))
        shards += _named(out, data_set, split, pack_cut(takes, data_set.samples_per_shard))
    _refuse_no_samples(shards)
    notes = tuple(_remarks(sources, split_of))
    shaping = options_to_dict(options, data_set)
    return DataSetPlan("video", out / data_set.name, shaping, tuple(sources), tuple(shards), notes)


def _refuse_no_samples(shards: Sequence[ShardPlan]) -> None:
    if not any(shard.samples for shard in shards):
        raise ValueError("expected to make at least one sample, found that --train and --test "
                         "leave none; raise them")


def _remarks(sources: Sequence[Scene], split_of: dict[str, str]) -> Iterator[str]:
    """What a user should know of the scenes, and is no failure."""
    if shared := shared_clips(split_of):
        yield f"training and test scenes share the clips {', '.join(shared)}"
    if gaps := [s.name for s in sources if s.numbers[-1] - s.numbers[0] >= len(s.numbers)]:
        others = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        yield f"frames are missing in the numbering of {gaps[0]}{others}; no window crosses them"


def _named(
    out: AnyPath, data_set: DataSetOptions, split: str, packed: list[tuple[Take, ...]]
) -> list[ShardPlan]:
    return [
        ShardPlan(ShardName(str(out), data_set.name, split, number), takes)
        for number, takes in enumerate(packed)
    ]
