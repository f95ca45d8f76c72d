"""The pipeline that a researcher would write with one of the other packages: decode the picture, ask
for each frame, numpy mean, PNG as OpenCV writes it by default, webdataset's TarWriter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from peers import View
from stopwatch import Cost, cost_of
from webdataset import TarWriter

from blursynth import rotation
from blursynth.spec import PanoramaSpec


def pipeline(
    path: Path, tar: Path, specs: Sequence[PanoramaSpec], make_view: Callable, wanted: int
) -> Cost:
    """Of a tar with `wanted` samples: the decoding, and the given samples' cost scaled to so many."""
    views: list[View] = []
    decoding = cost_of(lambda: views.append(make_view(_read_rgb(path))))
    writing = cost_of(lambda: _write(tar, specs, views[0]))
    return decoding + writing * (wanted / len(specs))


def _read_rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _write(tar: Path, specs: Sequence[PanoramaSpec], view: View) -> None:
    with TarWriter(str(tar)) as writer:
        for spec in specs:
            ends = (np.array(end) for end in spec.quat_first_last)
            quats_wxyz = rotation.slerp(*ends, np.arange(spec.n) / (spec.n - 1))
            frames = np.stack([view(spec.camera, quat) for quat in quats_wxyz])
            writer.write({"__key__": spec.key, **_members(frames), "json": {"n": spec.n}})


def _members(frames: np.ndarray) -> dict[str, bytes]:
    """The blur, the first, the middle and the last frame."""
    blur = np.rint(frames.mean(axis=0)).astype(np.uint8)
    images = {"blur": blur, "first": frames[0], "middle": frames[len(frames) // 2], "last": frames[-1]}
    return {f"{name}.png": _png(image) for name, image in images.items()}


def _png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
