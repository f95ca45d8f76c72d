"""The first real training: real pictures to shards, a small model, and what it learnt, drawn.

    pip install -c constraints.txt -e ".[bench]"
    python benchmarks/first_training.py --panoramas FOLDER --video FOLDER --out first/

FOLDER of panoramas: equirectangular pictures, split by panorama; of video: frames in the layout of
GOPRO_Large_all. Runs the commands that a user would type, and says them; the same command again
goes on where it was stopped. `--report-only` draws anew from what is there. Writes <out>/curve.png
(PSNR of each frame of the validation samples against steps, beside rows that need no model),
<out>/strips.jpg (blurred test images, restored frames above true ones) and <out>/table.txt.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

CROP = 128
FRAMES = ("first", "middle", "last")
ROWS = {
    "blurry input repeated": ":",
    "true middle moved": "--",
}


def commands(options: argparse.Namespace) -> list[list[str]]:
    """What makes the shards, trains and measures, as it would be typed."""
    shards, run = options.out / "shards", options.out / "run"
    sizes = f"--width {options.width} --batch {options.batch} --steps {options.steps}"
    learning = "--lr 1e-3 --schedule cosine --ema 0.995 --order canonical"
    report = f"--validate-every {options.validate_every} --validate-samples {options.samples}"
    resume = "--resume" if (run / "options.json").exists() else ""
    typed = [
        f"blursynth panorama --src {options.panoramas} --out {shards} --per-panorama 100",
        f"blursynth gopro --src {options.video} --out {shards} --n 7 --crop {CROP} "
        "--crops-per-window 25",
        f"blurvid train --shards {shards} {sizes} {learning} {report} --out {run} {resume}",
        f"blurvid evaluate --checkpoint {run} --shards {shards} --limit {options.samples} "
        f"--protocol sequence --out {options.out / 'evaluation'}",
    ]
    return [line.split() for line in typed]


def run(command: Sequence[str]) -> None:
    """Runs one of the two programs of this environment."""
    print("$", " ".join(command), flush=True)
    program = Path(sys.executable).with_name(command[0])
    subprocess.run([str(program), *command[1:]], check=True)


# --- what came of it -------------------------------------------------------------------------


def learning_curve(run_folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps (k,) and PSNR of each frame in dB (k, 3) of the validations."""
    with open(run_folder / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["psnr"]]
    steps = np.array([int(row["step"]) for row in rows])
    psnr = np.array([[float(row[f"psnr_{k + 1}"]) for k in range(len(FRAMES))] for row in rows])
    return steps, psnr


def trivial_rows(evaluation: Path) -> dict[str, np.ndarray]:
    """PSNR of each frame in dB of the rows that need no model, the mean over the data sets, as the
    validation takes it; those that every data set has."""
    (stored,) = evaluation.glob("evaluation.json")
    tables = json.loads(stored.read_text())
    weights = [table["samples"] for table in tables]
    means: dict[str, np.ndarray] = {}
    for row in ROWS:
        frames = [table["protocols"]["sequence"].get(row) for table in tables]
        if all(frames):
            psnr = [[v or np.nan for v in frame["psnr"]["frames"]] for frame in frames]
            means[row] = np.average(psnr, axis=0, weights=weights)
    return means


def draw_curve(
    path: Path, curve: tuple[np.ndarray, np.ndarray], rows: Mapping[str, np.ndarray]
) -> None:
    """One panel a frame: the model against steps, the rows as level lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps, psnr = curve
    figure, panels = pyplot.subplots(1, len(FRAMES), figsize=(10, 3.2), layout="constrained")
    for k, (panel, name) in enumerate(zip(panels, FRAMES, strict=True)):
        panel.plot(steps, psnr[:, k], "o-", ms=3, label="model")
        for row, style in ROWS.items():
            if row in rows and np.isfinite(rows[row][k]):
                panel.axhline(rows[row][k], ls=style, c="black", label=row)
        panel.set(title=f"{name} frame", xlabel="steps", ylabel="PSNR, dB")
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=75)


def report(out: Path) -> None:
    """The pictures and the table."""
    draw_curve(out / "curve.png", learning_curve(out / "run"), trivial_rows(out / "evaluation"))
    newest = max((out / "run" / "samples").glob("step-*.png"))
    cv2.imwrite(str(out / "strips.jpg"), cv2.imread(str(newest)), [cv2.IMWRITE_JPEG_QUALITY, 85])
    shutil.copyfile(out / "evaluation" / "table.txt", out / "table.txt")
    print((out / "table.txt").read_text())
    print(f"look at {out / 'curve.png'} and {out / 'strips.jpg'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panoramas", type=Path, required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("first"))
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--validate-every", type=int, default=300)
    parser.add_argument("--samples", type=int, default=40, help="of each data set's test split")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    if not options.report_only:
        for command in commands(options):
            run(command)
    report(options.out)


if __name__ == "__main__":
    main()
