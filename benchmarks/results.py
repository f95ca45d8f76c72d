"""Every system of the paper on the same shards, with the same budget: the rows of docs/results.md.

    pip install -c constraints.txt -e ".[bench]"
    python benchmarks/results.py --panoramas FOLDER --out results/ [--lanes 2] [--rows NAME ...]

Types the commands that a user would type, and says them: shards of 64 px, one training a row in the
order of importance, an evaluation of each on the whole test split under all five protocols, their
comparison, and the motion of those that predict one. `--lanes` trainings run at once, each on one
processor thread. The same command again goes on where it was stopped; `--report-only` draws anew
from what is there. Writes <out>/compare.*, <out>/curves.png (validation PSNR against steps) and
<out>/strips.jpg (blurred test samples, what each row makes of them, the truth).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import h5py
import numpy as np
from first_training import learning_curve
from layout import MARGIN, labelled

from blurvid.evaluate import sample_numbers

ROWS = {
    "full-given": "--model full --order given",
    "full-canonical": "--model full --order canonical",
    "full-invariant": "--model full --order invariant",
    "light-canonical": "--model light --order canonical",
    "recurrent": "--model recurrent",
    "jin2018": "--model jin2018",
}
WITH_MOTION = ("full-given", "full-canonical", "full-invariant", "light-canonical")
PROTOCOLS = ("sequence", "forward", "per-metric", "per-pair", "per-frame")
SIDE, VALIDATED, STRIP_SAMPLES, ENLARGED = 64, 100, 4, 2


# --- the commands ----------------------------------------------------------------------------


def training(name: str, options: argparse.Namespace) -> str:
    """The one budget of all rows."""
    run = options.out / "runs" / name
    resume = " --resume" if (run / "options.json").exists() else ""
    return (
        f"blurvid train --shards {options.out / 'shards'} {ROWS[name]} --width {options.width} "
        f"--batch {options.batch} --steps {options.steps} --lr 1e-3 --schedule cosine --ema 0.99 "
        f"--validate-every {options.steps // 12} --validate-samples {VALIDATED} --workers 0 "
        f"--out {run}{resume}"
    )


def evaluation(name: str, options: argparse.Namespace) -> str:
    run = options.out / "runs" / name
    protocols = " ".join(f"--protocol {protocol}" for protocol in PROTOCOLS)
    return (
        f"blurvid evaluate --checkpoint {run} --shards {options.out / 'shards'} {protocols} "
        f"--out {run / 'evaluation'} --save {run / 'frames.h5'}"
    )


def typed(command: str, log: Path | None = None) -> None:
    """Runs one of the two programs of this environment, on one thread where it is logged."""
    print("$", command, flush=True)
    program, *arguments = command.split()
    whole = [str(Path(sys.executable).with_name(program)), *arguments]
    if log is None:
        subprocess.run(whole, check=True)
        return
    with open(log, "a") as file:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(whole, check=True, stdout=file, stderr=file, env=environment)


def make_row(name: str, options: argparse.Namespace) -> None:
    """Its training and its evaluation, as far as they are not there."""
    run = options.out / "runs" / name
    typed(training(name, options), options.out / f"{name}.log")
    if not (run / "evaluation" / "evaluation.json").exists():
        typed(evaluation(name, options), options.out / f"{name}.log")


def make(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    typed(
        f"blursynth panorama --src {options.panoramas} --out {options.out / 'shards'} "
        f"--size {SIDE} --per-panorama 200"
    )
    with ThreadPoolExecutor(options.lanes) as lanes:
        list(lanes.map(lambda name: make_row(name, options), options.rows))
    for name in options.rows:
        if name in WITH_MOTION:
            run = options.out / "runs" / name
            shards = options.out / "shards"
            typed(
                f"blurvid motion --checkpoint {run} --shards {shards} --out {run / 'motion'}",
                options.out / f"{name}.log",
            )
    runs = " ".join(str(options.out / "runs" / name) for name in options.rows)
    typed(f"blurvid compare {runs} --out {options.out}")


# --- the pictures ----------------------------------------------------------------------------


def done_rows(options: argparse.Namespace) -> list[str]:
    """The rows that were evaluated."""
    runs = options.out / "runs"
    return [n for n in options.rows if (runs / n / "evaluation" / "evaluation.json").exists()]


def draw_curves(options: argparse.Namespace) -> None:
    """The outer frames' mean and the middle frame, against steps; the blurry input as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = done_rows(options)
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    for name in names:
        steps, psnr = learning_curve(options.out / "runs" / name)
        for panel, values in zip(panels, (psnr[:, [0, -1]].mean(1), psnr[:, 1]), strict=True):
            panel.plot(steps, values, "o-", ms=3, label=name)
    for panel, level, title in zip(
        panels, blurry_levels(options, names[0]), ("first and last frame", "middle frame")
    ):
        panel.axhline(level, ls=":", c="black", label="blurry input repeated")
        panel.set(title=title, xlabel="steps", ylabel="PSNR, dB (sequence)")
        panel.set_ylim(bottom=level - 0.3)
        panel.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(options.out / "curves.png", dpi=80)


def blurry_levels(options: argparse.Namespace, name: str) -> tuple[float, float]:
    """PSNR of the blurry input on the validation samples: the outer frames' mean, the middle."""
    path = options.out / "runs" / name / "evaluation" / "samples-panorama.csv"
    wanted = ("blurry input repeated", "sequence")
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["row"], row["protocol"]) == wanted]
    seen = [rows[k] for k in sample_numbers(len(rows), VALIDATED)]
    first, middle, last = (
        np.mean([float(row[f"psnr_{frame}"]) for row in seen]) for frame in ("Fi", "Fm", "Ff")
    )
    return (first + last) / 2, middle


def draw_strips(options: argparse.Namespace) -> None:
    """Column by column the frames of a few samples: what each row predicts, and the truth."""
    names = done_rows(options)
    stored = {name: saved_frames(options, name) for name in names}
    truth = true_frames(options, next(iter(stored.values()))[0])
    chosen = np.linspace(0, len(truth) - 1, 2 * STRIP_SAMPLES + 1).astype(int)[1::2]
    lines = [labelled(_line([blur[None] for blur in stored[names[0]][1][chosen]]), "blurry input")]
    for name in names:
        pairs = zip(stored[name][2][chosen], truth[chosen], strict=True)
        lines.append(labelled(_line([turned(frames, true) for frames, true in pairs]), name))
    lines.append(labelled(_line(list(truth[chosen])), "truth"))
    width = max(line.shape[1] for line in lines)
    padded = [
        np.pad(line, ((0, MARGIN), (0, width - line.shape[1]), (0, 0)), constant_values=255)
        for line in lines
    ]
    picture = cv2.cvtColor(np.concatenate(padded), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(options.out / "strips.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


def _line(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Each sample's frames (k, H, W, 3) side by side, enlarged; a gap between samples. The blur, of
    one frame, stands where the middle frame does."""
    size, parts = ENLARGED * SIDE, []
    for frames in samples:
        white = [np.full_like(frames[0], 255)] * (len(frames) == 1)
        for frame in (*white, *frames, *white):
            parts.append(cv2.resize(frame, (size, size), interpolation=cv2.INTER_NEAREST))
        parts.append(np.full((size, 8, 3), 255, np.uint8))
    return np.hstack(parts[:-1])


def saved_frames(options: argparse.Namespace, name: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Keys, blurs (N, H, W, 3) and predicted frames (N, n, H, W, 3) of `evaluate --save`."""
    with h5py.File(options.out / "runs" / name / "frames.h5") as file:
        (data_set,) = file.values()
        (group,) = data_set.values()
        keys = [key.decode() for key in group["key"]]
        return keys, group["blur"][:], group["frames"][:]


def true_frames(options: argparse.Namespace, keys: Sequence[str]) -> np.ndarray:
    """(N, n, H, W, 3) of the test split, in the order of the keys."""
    from blurvid.index import find_mixture
    from blurvid.stream import read_samples

    data = find_mixture(options.out / "shards", split="test", frames=3)
    samples = {s.key: s.frames for s in read_samples(data, range(data.sample_count))}
    return np.stack([samples[key] for key in keys])


def turned(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """In the direction of time that is nearer to the truth."""
    errors = [np.square(f.astype(float) - truth).mean() for f in (frames, frames[::-1])]
    return frames[::-1] if errors[1] < errors[0] else frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panoramas", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    if not options.report_only:
        make(options)
    draw_curves(options)
    draw_strips(options)
    print(f"look at {options.out / 'curves.png'} and {options.out / 'strips.jpg'}")


if __name__ == "__main__":
    main()
