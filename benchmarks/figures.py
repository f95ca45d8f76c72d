"""The figures of docs/figures.md.

    python benchmarks/figures.py PANORAMA.jpg INDOOR.hdr --out docs/figures [--reference PATH/render.py]

PANORAMA.jpg: the meadow `spruit_sunrise_4k` with its pylons; INDOOR.hdr: `leadenhall_market_1k`; both
CC0 (Poly Haven). With the reference renderer the comparison also shows its view, and dB.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from accuracy import load_reference
from layout import MARGIN, labelled, row
from peers import PEERS

from blursynth import rotation
from blursynth.panorama import load_level
from blursynth.plan import frame_count
from blursynth.render import render_sample
from blursynth.spec import CameraOptions, PanoramaOptions, PanoramaSpec

TREE = (-65.0, 1.0)  # yaw, pitch in degrees
PYLONS = (132.0, 8.0)
MARKET = (0.0, 0.0)


# --- pictures --------------------------------------------------------------------------------


def exposure(camera: CameraOptions, at_deg: tuple[float, float], beta_deg: Sequence[float]):
    """(options, spec) of a sample whose middle frame looks at (yaw, pitch)."""
    options = PanoramaOptions(camera=camera)
    middle = rotation.quat_looking_at(*at_deg)
    half = rotation.quat_from_euler(np.array(beta_deg) / 2)
    ends = (rotation.multiply(middle, half * [1, -1, -1, -1]), rotation.multiply(middle, half))
    n = frame_count(np.array(beta_deg), options.rotation)
    quats = tuple(tuple(end.tolist()) for end in ends)
    rendered = camera.rendered()
    return options, PanoramaSpec("figure", "figure", rendered, tuple(beta_deg), quats, n, (0, 0.5, 1))


def sample_figure(path: Path) -> np.ndarray:
    """The blurred image beside the first, middle and last frame."""
    options, spec = exposure(CameraOptions(size=256), TREE, (5.0, 8.0, -3.0))
    level = load_level(path, options)
    sample = render_sample(spec, level, options)
    names = (f"blur: mean of {spec.n}", "first frame", "middle frame", "last frame")
    return row([labelled(i, n) for i, n in zip([sample.blur, *sample.frames], names, strict=True)])


def peers_figure(path: Path, reference: Path | None) -> np.ndarray:
    """One 128-px view of the pylons, whole and enlarged, by everyone."""
    options, spec = exposure(CameraOptions(), PYLONS, (0.0, 6.0, 0.0))
    quat = rotation.slerp(*(np.array(q) for q in spec.quat_first_last), np.array([0.5]))[0]
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    views = {name: make(rgb)(spec.camera, quat) for name, make in PEERS.items()}
    level = load_level(path, options)
    views["blursynth"] = render_sample(spec, level, options).frames[1]
    notes = dict.fromkeys(views, "")
    if reference:
        renderer = load_reference(reference)
        turn, size = renderer.rotation(quat), spec.camera.size_hw
        light = renderer.reference_view(renderer.TO_LINEAR[rgb], turn, size, options.camera.hfov_deg)
        exact = renderer.encode(light)
        notes = {name: f" {renderer.psnr(view, exact):.1f} dB" for name, view in views.items()}
        views["24x24 reference"], notes["24x24 reference"] = np.rint(exact).astype(np.uint8), ""
    return row([_whole_and_enlarged(view, name + notes[name]) for name, view in views.items()])


def _whole_and_enlarged(view: np.ndarray, label: str, side: int = 240) -> np.ndarray:
    y, x, crop = 34, 62, 40
    whole = cv2.resize(view, (side, side), interpolation=cv2.INTER_NEAREST)
    scale = side / len(view)
    corners = [tuple(int(c * scale) for c in p) for p in ((x, y), (x + crop, y + crop))]
    cv2.rectangle(whole, *corners, (255, 220, 0), 1)
    part = view[y : y + crop, x : x + crop]
    part = cv2.resize(part, (side, side), interpolation=cv2.INTER_NEAREST)
    return np.vstack([labelled(whole, label), np.full((MARGIN, side, 3), 255, np.uint8), part])


def cameras_figure(path: Path) -> np.ndarray:
    """The same field of view through three cameras."""
    pictures = []
    for xi in (0.0, 0.5, 1.0):
        camera = CameraOptions(size=300, hfov_deg=140.0, xi=xi)
        options, spec = exposure(camera, MARKET, (0.0, 1.0, 0.0))
        level = load_level(path, options)
        frame = render_sample(spec, level, options).frames[1]
        pictures.append(labelled(frame, f"xi = {xi:g}"))
    return row(pictures)


# --- files -----------------------------------------------------------------------------------


def write(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 85], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 9]}
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), parameters[path.suffix])
    print(f"{path}: {rgb.shape[1]}x{rgb.shape[0]}, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("panorama", type=Path)
    parser.add_argument("indoor", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    parser.add_argument("--reference", type=Path, help="render.py")
    args = parser.parse_args()
    write(args.out / "sample.jpg", sample_figure(args.panorama))
    write(args.out / "peers.png", peers_figure(args.panorama, args.reference))
    write(args.out / "cameras.jpg", cameras_figure(args.indoor))


if __name__ == "__main__":
    main()
