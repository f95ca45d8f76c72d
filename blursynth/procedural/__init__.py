"""Procedural sources: panoramas of rooms and streets, and 240-fps scenes, without a download.

Every picture is a pure function of (seed, index); `write_sources` lays them out as SUN360 and
GOPRO_Large_all are, so that `panorama` and `gopro` read them like any others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ..files import write_whole
from .canvas import codes_of
from .places import Place, look_around
from .rooms import room
from .scenes import frame_of, layers_of
from .streets import street

PANORAMA, SCENE = 1, 2  # the kinds: second number of the random generators' keys
PLACES: tuple[Callable[[tuple[int, ...]], Place], ...] = (
    room,
    partial(street, night=False),
    room,
    partial(street, night=True),
)
JPEG_QUALITY = 95
PNG_COMPRESSION = 1  # noise-free pictures shrink well even so, and it is fast
TEST_SHARE = 4  # one scene in so many is for testing
LEAST_PX = 32
ENCODINGS = {
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
    ".png": (cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION),
}


@dataclass(frozen=True)
class SourcesSpec:
    """What `write_sources` makes: `panoramas` files of `width` x width/2 pixels, the last `hdr` of
    them Radiance .hdr; `scenes` of `frames` frames of `frame_hw` pixels."""

    panoramas: int = 8
    width: int = 2048
    hdr: int = 1
    scenes: int = 4
    frames: int = 48
    frame_hw: tuple[int, int] = (360, 640)
    seed: int = 0

    def __post_init__(self) -> None:
        _check_size((self.width // 2, self.width), "panorama")
        _check_size(self.frame_hw, "frame")
        _check_counts(seed=self.seed, panoramas=self.panoramas, hdr=self.hdr, scenes=self.scenes)
        if self.width % 2:
            raise ValueError(f"expected an even width of the panoramas, found {self.width}")
        if self.hdr > self.panoramas:
            raise ValueError(
                f"expected at most as many .hdr files as panoramas, found {self.hdr} of "
                f"{self.panoramas}"
            )
        if self.frames < 1 or self.n_files < 1:
            raise ValueError(
                f"expected something to make, found {self.panoramas} panoramas and {self.scenes} "
                f"scenes of {self.frames} frames"
            )

    @property
    def n_files(self) -> int:
        """How many files these are."""
        return self.panoramas + self.scenes * self.frames

    @property
    def test_scenes(self) -> int:
        """The last so many scenes are the test set: one in four, at least one of two."""
        return max(self.scenes // TEST_SHARE, int(self.scenes > 1))


# --- pictures ----------------------------------------------------------------------------------


def panorama(seed: int, index: int, *, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 linear RGB, unclipped, 1 = white: a room or a street, lamps far above 1.

    Equirectangular, W = 2 H: a direction (x right, y down, z forward) lies at
    u = W (atan2(x, z)/2pi + 1/2), v = H (asin y/pi + 1/2), pixel centres at +0.5.
    """
    _check_counts(seed=seed, index=index)
    _check_size(size_hw, "panorama")
    if size_hw[1] != 2 * size_hw[0]:
        raise ValueError(
            f"expected a panorama twice as wide as high, found {size_hw[1]}x{size_hw[0]}"
        )
    return look_around(PLACES[index % len(PLACES)]((seed, PANORAMA, index)), size_hw)


def moving_scene(
    seed: int, index: int, *, size_hw: tuple[int, int], frames: int
) -> Iterator[np.ndarray]:
    """Yields (H, W, 3) uint8 sRGB RGB frames: textured things flying over a panning background.

    Sharp; 1 to 3 pixels of motion from frame to frame behind, up to about 5 in front.
    """
    _check_counts(seed=seed, index=index, frames=frames)
    _check_size(size_hw, "frame")
    layers = layers_of((seed, SCENE, index), size_hw)
    return (frame_of(layers, time, size_hw) for time in range(frames))


# --- files -------------------------------------------------------------------------------------


def write_sources(
    out: Path, spec: SourcesSpec | None = None, *, on_progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Writes OUT/sun360/procedural_NNN.jpg or .hdr and OUT/gopro/{train,test}/GOPR9NNN_11_00/*.png,
    each file whole or not at all; on_progress hears how many are done. Returns their paths."""
    spec, out = spec or SourcesSpec(), Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"expected a folder to write sources to, found the file {out}")
    paths = []
    for path, data in _encoded(spec):
        write_whole(out / path, data)
        paths.append(out / path)
        if on_progress:
            on_progress(len(paths))
    return paths


def write_panorama(path: Path, linear: np.ndarray) -> None:
    """(H, W, 3) linear RGB, 1 = white, by the path's suffix: .hdr unclipped, .jpg and .png sRGB."""
    write_whole(Path(path), encode_panorama(linear, Path(path).suffix.lower()))


def encode_panorama(linear: np.ndarray, suffix: str) -> bytes:
    """The bytes of such a file."""
    if suffix == ".hdr":
        return _encoded_image(suffix, np.asarray(linear, np.float32), ())
    if suffix not in ENCODINGS:
        raise ValueError(f"expected a panorama named .hdr, .jpg or .png, found {suffix!r}")
    return _encoded_image(suffix, codes_of(linear), ENCODINGS[suffix])


def _encoded(spec: SourcesSpec) -> Iterator[tuple[Path, bytes]]:
    """Relative path and content of every file, in the order of writing."""
    for index in range(spec.panoramas):
        suffix = ".jpg" if index < spec.panoramas - spec.hdr else ".hdr"
        linear = panorama(spec.seed, index, size_hw=(spec.width // 2, spec.width))
        yield Path("sun360", f"procedural_{index:03d}{suffix}"), encode_panorama(linear, suffix)
    for index in range(spec.scenes):
        part = "train" if index < spec.scenes - spec.test_scenes else "test"
        folder = Path("gopro", part, f"GOPR{9000 + index}_11_00")
        frames = moving_scene(spec.seed, index, size_hw=spec.frame_hw, frames=spec.frames)
        for number, frame in enumerate(frames, start=1):
            yield folder / f"{number:06d}.png", _encoded_image(".png", frame, ENCODINGS[".png"])


def _encoded_image(suffix: str, rgb: np.ndarray, options) -> bytes:
    done, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    assert done, f"cv2 did not encode {suffix} of {rgb.dtype} {rgb.shape}"
    return data.tobytes()


# --- mistakes ----------------------------------------------------------------------------------


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value != int(value) or value < 0:
            raise ValueError(f"expected {name} to be a whole number from 0, found {value}")


def _check_size(size_hw: tuple[int, int], of_what: str) -> None:
    if min(size_hw) < LEAST_PX:
        raise ValueError(
            f"expected a {of_what} of at least {LEAST_PX} pixels each way, found "
            f"{size_hw[1]}x{size_hw[0]}"
        )
