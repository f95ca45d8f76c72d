"""How near the averaged GoPro windows come to the published blurred pictures of the same clips.

    python benchmarks/published_blur.py VIDEO_FOLDER

VIDEO_FOLDER holds `gopro240/{train,test}/<clip>/NNNNNN.png`, seven frames each, and
`gopro240_blur/<clip>.png`. Prints the PSNR under each response; 37-44 dB is what frames that went
through H.264 allow under gamma2.2.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from blursynth.light import RESPONSES, mean_of_frames


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def main(folder: Path) -> None:
    print(f"{'clip':10}" + "".join(f"{response:>10}" for response in RESPONSES))
    for clip in sorted((folder / "gopro240").glob("*/*")):
        published = read(folder / "gopro240_blur" / f"{clip.name}.png")
        frames = [read(path) for path in sorted(clip.glob("*.png"))]
        scores = [psnr(mean_of_frames(frames, response), published) for response in RESPONSES]
        print(f"{clip.name:10}" + "".join(f"{score:10.2f}" for score in scores))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
