"""Samples that have no pixels yet, and the options that shape them: small, frozen, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .camera import Camera, centred_camera, rays
from .light import RESPONSES, noisy
from .schema import FORMATS

FRAME_CHOICES = ("3", "7", "all")
CLIP_CHOICES = ("frame", "sensor")
PATHS = ("slerp", "shake")
LEAST_SHOT_NOISE = 1e-6
MOST_INTERPOLATED = 63
MOST_SAMPLES = 10_000_000


@dataclass(frozen=True)
class Quality:
    """How finely panoramas are rendered (spec 5.1).

    fineness: canvas pixels per camera pixel, along each side.
    least_density, most_density: samples of the level per camera pixel, at the image's centre.
    JPEGs are decoded at the smallest scale that keeps the least; what is finer than the most is
    area-averaged to it.
    """

    fineness: int
    least_density: float
    most_density: float


QUALITIES = {"default": Quality(2, 3.0, 4.5), "high": Quality(5, 6.0, 9.0)}


def _expect(condition: bool, expected: str, found: object) -> None:
    if not condition:
        raise ValueError(f"expected {expected}, found {found}")


def _later(default: object) -> Any:
    """A field that came after the first data sets: where it has its default, their options (and so
    their fingerprints) stay what they were."""
    return field(default=default, metadata={"later": True})


# --- options ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noise:
    """What a sensor adds to the blurred image, in linear light; 0 is none.

    read: standard deviation of a Gaussian, as a share of white. shot: standard deviation at white
    of Poisson's law, that is 1 / shot^2 electrons at white.
    """

    read: float = 0.0
    shot: float = 0.0

    def __post_init__(self) -> None:
        _expect(0 <= self.read <= 1, "--read-noise from 0 to 1", self.read)
        _expect(
            self.shot == 0 or LEAST_SHOT_NOISE <= self.shot <= 1,
            f"--shot-noise of 0, or from {LEAST_SHOT_NOISE:g} to 1",
            self.shot,
        )

    def drawn_by(self, rng: np.random.Generator | None) -> Callable | None:
        """The function that adds it to light; None where there is none."""
        return partial(noisy, rng=rng, **asdict(self)) if self.told else None

    @property
    def told(self) -> dict[str, float]:
        """What the metadata say of it: nothing where there is none."""
        return {f"{name}_noise": value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class CameraOptions:
    """size: pixels of the square image. render_size: of the larger one it is cut from at random.
    noise: of the sensor, in the blurred image alone."""

    size: int = 128
    render_size: int | None = None
    hfov_deg: float = 60.0
    xi: float = 0.0
    noise: Noise = _later(Noise())

    def __post_init__(self) -> None:
        _expect(1 <= self.size <= 8192, "--size between 1 and 8192", self.size)
        _expect(
            self.render_size is None or self.size <= self.render_size <= 8192,
            f"--render-size between --size {self.size} and 8192",
            self.render_size,
        )
        _expect(np.isfinite(self.xi) and self.xi >= 0, "--xi of 0 or more", self.xi)
        _expect(
            np.all(np.isfinite(rays(np.zeros(2), self.rendered()))),
            f"--fov at which every pixel sees the sphere at --xi {self.xi:g}",
            f"{self.hfov_deg:g} degrees, which leaves the corners without light",
        )

    def rendered(self) -> Camera:
        """The camera before the crop."""
        side = self.render_size or self.size
        return centred_camera((side, side), self.hfov_deg, self.xi)


@dataclass(frozen=True)
class RotationOptions:
    """Euler angles uniform in +-max_angle_deg; n = c + slope |beta|, the nearest odd number, and
    more where a pixel would move farther than max_step_px between two neighbours of the n.
    path: from one end to the other at constant speed, or with the `shake` of a hand."""

    max_angle_deg: float = 10.0
    c: float = 7.0
    slope: float = 1.0
    max_step_px: float | None = None
    path: str = _later("slerp")

    def __post_init__(self) -> None:
        _expect(0 <= self.max_angle_deg <= 90, "--max-angle from 0 to 90", self.max_angle_deg)
        _expect(2 <= self.c <= 1001, "--c from 2 to 1001 (n counts both ends)", self.c)
        _expect(0 <= self.slope <= 100, "--slope from 0 to 100", self.slope)
        step = self.max_step_px
        _expect(step is None or 0.01 <= step < np.inf, "--max-step-px of 0.01 or more", step)
        _expect(self.path in PATHS, f"--path {' or '.join(PATHS)}", self.path)


@dataclass(frozen=True)
class PanoramaOptions:
    """What shapes the pixels of rotational blur (spec 1.1).

    clip: where light above white is lost, in each `frame` or, after the mean, on the `sensor`.
    """

    camera: CameraOptions = CameraOptions()
    rotation: RotationOptions = RotationOptions()
    frames: str = "3"
    response: str = "identity"
    exposure: str = "auto"
    clip: str = "frame"
    quality: str = "default"
    seed: int = 0

    def __post_init__(self) -> None:
        _check_common(self.frames, self.response, self.seed)
        _expect(self.clip in CLIP_CHOICES, "--clip frame or sensor", self.clip)
        _expect(self.quality in QUALITIES, "--quality default or high", self.quality)
        _expect(
            self.clip == "frame" or self.response == "srgb",
            "--response srgb with --clip sensor, which averages light",
            self.response,
        )
        if self.exposure != "auto":
            try:
                stops = float(self.exposure)
            except ValueError:
                stops = np.nan
            _expect(abs(stops) <= 100, "--exposure auto or up to 100 stops", self.exposure)


@dataclass(frozen=True)
class BlurOptions:
    """What makes a blurred image more than the mean of frames.

    interpolate: frames that are put between each two neighbours before averaging. noise: of the
    sensor, in the blurred image alone.
    """

    interpolate: int = 0
    noise: Noise = Noise()

    def __post_init__(self) -> None:
        _expect(
            0 <= self.interpolate <= MOST_INTERPOLATED,
            f"--interpolate from 0 to {MOST_INTERPOLATED}",
            self.interpolate,
        )


@dataclass(frozen=True)
class VideoOptions:
    """What shapes the pixels of dynamic blur (spec 1.2). crop: side in pixels."""

    n: int = 7
    crop: int = 256
    stride: int = 1
    crops_per_window: int = 1
    frames: str = "all"
    response: str = "identity"
    seed: int = 0
    blur: BlurOptions = _later(BlurOptions())

    def __post_init__(self) -> None:
        _check_common(self.frames, self.response, self.seed)
        odd = 3 <= self.n <= 999 and self.n % 2 == 1
        _expect(odd, "--n odd and 3 to 999, so that an exact middle frame exists", self.n)
        _expect(
            self.frames == "all" or int(self.frames) <= self.n,
            f"--frames of at most the {self.n} averaged ones",
            self.frames,
        )
        _expect(1 <= self.crop <= 8192, "--crop from 1 to 8192", self.crop)
        _expect(self.stride >= 1, "--stride of 1 or more", self.stride)
        _expect(self.crops_per_window >= 1, "--crops-per-window 1 or more", self.crops_per_window)


def _check_common(frames: str, response: str, seed: int) -> None:
    _expect(frames in FRAME_CHOICES, "--frames 3, 7 or all", frames)
    _expect(response in RESPONSES, f"--response among {', '.join(RESPONSES)}", response)
    _expect(0 <= seed < 2**63, "--seed from 0 to 2^63 - 1", seed)


@dataclass(frozen=True)
class DataSetOptions:
    """How the samples of a data set are counted, split and packed."""

    name: str
    samples_per_shard: int = 256
    image_format: str = "png"
    test_fraction: float = 0.11
    train_total: int | None = None
    test_total: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        plain = self.name.replace("-", "").replace("_", "")
        _expect(
            plain.isascii() and plain.isalnum() and len(self.name) <= 64,
            "--name of letters, digits, - and _",
            repr(self.name),
        )
        _expect(self.samples_per_shard >= 1, "--samples-per-shard >= 1", self.samples_per_shard)
        _expect(self.image_format in FORMATS, f"--format among {FORMATS}", self.image_format)
        _expect(0 <= self.test_fraction <= 1, "--test-fraction in [0, 1]", self.test_fraction)
        for option in ("train_total", "test_total", "limit"):
            value = getattr(self, option)
            range_ = f"--{option.split('_')[0]} from 0 to {MOST_SAMPLES:,}"
            _expect(value is None or 0 <= value <= MOST_SAMPLES, range_, value)
        _expect(self.limit != 0, "--limit of 1 or more", self.limit)


# --- samples without pixels ------------------------------------------------------------------


@dataclass(frozen=True)
class PanoramaSpec:
    """One virtual exposure: the camera turns from first to last along `rotation.shaken_path`.

    quat_first_last: (2, 4) wxyz, world_from_camera. n: frames that are averaged, odd.
    times: of the stored frames, in [0, 1]. shake_deg: (K, 3), empty for the Slerp path.
    """

    key: str
    source: str
    camera: Camera
    beta_deg: tuple[float, float, float]
    quat_first_last: tuple[tuple[float, ...], tuple[float, ...]]
    n: int
    times: tuple[float, ...]
    shake_deg: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class WindowSpec:
    """n consecutive frames of a scene, cut alike. start: position of the first in the scene.

    stored: positions within the window of the frames that are kept. crop_xywh: pixels.
    """

    key: str
    scene: str
    start: int
    n: int
    stored: tuple[int, ...]
    crop_xywh: tuple[int, int, int, int]
