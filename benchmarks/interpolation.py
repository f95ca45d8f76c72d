"""Whether frames interpolated before averaging bring a blur nearer to that of a faster camera.

    python benchmarks/interpolation.py VIDEO_FOLDER [--picture OUT.png]

VIDEO_FOLDER holds `gopro240/{train,test}/<clip>/NNNNNN.png`, seven frames each, `walk_848x480.mp4`,
`drone_854x480.mp4` and `beam_1088x1920_60fps.mp4`. Of seven consecutive frames every second is left
out; the mean of the four that are left (plain), and with one interpolated frame between each two,
are compared with the mean of all seven: PSNR in dB, on crops of 256 px, under `identity`; `frame`
is the PSNR of the interpolated frames themselves. Then what interpolation costs. --picture: plain,
interpolated and truth of the window of least plain PSNR, and four times the differences.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from blursynth import plan, windows
from blursynth.interpolate import MARGIN, interleaved
from blursynth.light import mean_of_frames
from blursynth.sources import Digests, find_scenes
from blursynth.spec import BlurOptions, VideoOptions

SIDE, FRAMES = 256, 7
GOPRO_CORNERS = ((40, 60), (352, 80))
CONTINUOUS = {
    "walk_848x480.mp4": ((20, 150, 260), ((80, 100), (500, 200))),
    "drone_854x480.mp4": ((50, 250), ((80, 100), (500, 200))),
    "beam_1088x1920_60fps.mp4": ((20, 60), ((300, 700), (500, 1000))),
}


class Window(NamedTuple):
    """Seven frames of a clip from `start` on; corner_xy: of the crop, in pixels."""

    clip: str
    start: int
    corner_xy: tuple[int, int]
    frames: list[np.ndarray]


class Scores(NamedTuple):
    """Blurs of one window, uint8, and the PSNR of the interpolated frames."""

    plain: np.ndarray
    interpolated: np.ndarray
    truth: np.ndarray
    frame_db: float


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def every_window(folder: Path) -> Iterator[Window]:
    for clip in sorted((folder / "gopro240").glob("*/*")):
        frames = [_rgb(cv2.imread(str(path))) for path in sorted(clip.glob("*.png"))]
        for corner in GOPRO_CORNERS:
            yield Window(clip.name, 0, corner, frames)
    for name, (starts, corners) in CONTINUOUS.items():
        for start in starts:
            frames = _from_video(folder / name, start)
            for corner in corners:
                yield Window(name.split("_")[0], start, corner, frames)


def _rgb(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _from_video(path: Path, start: int) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    for _ in range(start):
        video.grab()
    return [_rgb(video.read()[1]) for _ in range(FRAMES)]


def scored(window: Window) -> Scores:
    x, y = window.corner_xy
    left, top = max(x - MARGIN, 0), max(y - MARGIN, 0)
    wide = [f[top : y + SIDE + MARGIN, left : x + SIDE + MARGIN] for f in window.frames]
    inside = slice(y - top, y - top + SIDE), slice(x - left, x - left + SIDE)
    true = [frame[inside] for frame in wide]
    filled = [frame[inside] for frame in interleaved(wide[::2], 1)]
    return Scores(
        mean_of_frames(true[::2], "identity"),
        mean_of_frames(filled, "identity"),
        mean_of_frames(true, "identity"),
        float(np.mean([psnr(a, b) for a, b in zip(filled[1::2], true[1::2], strict=True)])),
    )


def samples_per_second(folder: Path, interpolate: int, wanted: int = 40) -> float:
    """Windows of 7 frames, crops of 256 px, made one after the other, by the processor's clock;
    reading included, encoding not."""
    (scene,), _ = find_scenes(folder / "walk_848x480.mp4", Digests(folder / "unwritten.json"))
    options = VideoOptions(n=FRAMES, crop=SIDE, blur=BlurOptions(interpolate))
    starts = plan.window_starts(scene.numbers, options)
    specs = (plan.window_spec("d", scene, k, starts, options) for k in range(len(starts)))
    began = time.process_time()
    made = len(list(islice(windows.window_samples(scene, specs, options), wanted)))
    return made / (time.process_time() - began)


def picture(scores: Scores) -> np.ndarray:
    """Three blurs side by side; below their differences to the third, around grey."""
    truth = scores.truth.astype(float)
    differences = [128 + 4 * (blur - truth) for blur in scores[:3]]
    rows = [np.hstack(scores[:3]), np.hstack(differences)]
    return np.clip(np.vstack(rows), 0, 255).astype(np.uint8)


def main(folder: Path, out: Path | None) -> None:
    cv2.setNumThreads(1)
    rows = [(window, scored(window)) for window in every_window(folder)]
    print(f"{'clip':9}{'frame':>6}{'crop':>11}{'plain':>8}{'interp.':>9}{'gain':>7}{'frame':>8}")
    gains = []
    for window, scores in rows:
        plain, interpolated = (psnr(blur, scores.truth) for blur in scores[:2])
        gains.append(interpolated - plain)
        corner = ",".join(map(str, window.corner_xy))
        print(f"{window.clip:9}{window.start:6}{corner:>11}{plain:8.2f}{interpolated:9.2f}"
              f"{gains[-1]:7.2f}{scores.frame_db:8.2f}")
    print(f"gain: {np.mean(gains):.2f} dB on average, {min(gains):.2f} to {max(gains):.2f}")
    rates = {k: samples_per_second(folder, k) for k in (0, 1, 3, 7)}
    print("samples/s: " + ", ".join(f"{rate:.1f} with {k}" for k, rate in rates.items()))
    if out:
        blurriest = min((scores for _, scores in rows), key=lambda s: psnr(s.plain, s.truth))
        cv2.imwrite(str(out), cv2.cvtColor(picture(blurriest), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="VIDEO_FOLDER")
    parser.add_argument("--picture", type=Path, metavar="OUT.png")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.picture)
