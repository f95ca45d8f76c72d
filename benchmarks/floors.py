"""What cannot be left out: each source decoded once at the scale it is needed at, each output encoded
once with the same parameters, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from blursynth import panorama, schema
from blursynth.schema import Sample
from blursynth.spec import PanoramaOptions


def panorama_floor(path: Path, flags: int, images: Iterable[np.ndarray]) -> None:
    """Of one panorama and the images that were made from it."""
    cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    _encode(images)


def windows_floor(frames: Iterable[Path], images: Iterable[np.ndarray]) -> None:
    """Of one scene of frame files and the images that were made from it."""
    for path in frames:
        cv2.imread(str(path), cv2.IMREAD_COLOR)
    _encode(images)


def shard_floor(path: Path, flags: int, saved: Path, panoramas: int) -> None:
    """Of a shard, as a process by itself does it; the images are those of a .npy file."""
    cv2.setNumThreads(1)
    for _ in range(panoramas):
        panorama_floor(path, flags, _loaded(saved))


@lru_cache
def _loaded(saved: Path) -> np.ndarray:
    return np.load(saved)


def _encode(images: Iterable[np.ndarray]) -> None:
    for image in images:
        schema.encode_image(image, "png")


def images_of(samples: Iterable[Sample]) -> Sequence[np.ndarray]:
    """All that is encoded, in order."""
    return [image for sample in samples for image in (sample.blur, *sample.frames)]


def decode_flags(path: Path, options: PanoramaOptions) -> int:
    """The flags, and by them the scale, with which ours decodes the panorama."""
    with mock.patch.object(cv2, "imdecode", wraps=cv2.imdecode) as spied:
        panorama.load_level(path, options)
    (_, flags), _ = spied.call_args
    return flags
