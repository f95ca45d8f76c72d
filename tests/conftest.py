"""What the tests share: small pictures made here, and real data where it lies beside the project."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurcli import synth, vid
from blursynth.schema import SCHEMA_VERSION, Sample

SHARED = Path(os.environ.get("BLUR_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True, scope="session")
def single_threaded():
    cv2.setNumThreads(1)


@pytest.fixture(autouse=True, scope="session")
def answering_ctrl_c():
    """A shell that runs the tests in the background has them ignore it, and their programs too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def real_data() -> Path:
    """The folder of real panoramas, videos and photos."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared real data is not here")
    return SHARED / "data"


@pytest.fixture
def picture():
    """picture(height, width, seed): uint8 RGB with edges, text and colours."""
    return make_picture


def make_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.uint8)
    for _ in range(40):
        corner = (rng.random(2) * [width, height]).astype(int)
        size = (rng.random(2) * [width / 3, height / 3] + 2).astype(int)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.rectangle(image, tuple(corner.tolist()), tuple((corner + size).tolist()), colour, -1)
    cv2.putText(image, f"seed {seed}", (2, height // 2), 0, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return image


@pytest.fixture
def sun360(tmp_path) -> Path:
    """A folder of four small panoramas."""
    folder = tmp_path / "sun360"
    for number in range(4):
        write_image(folder / f"place {number}.png", make_picture(128, 256, number))
    return folder


@pytest.fixture
def gopro(tmp_path) -> Path:
    """Two training scenes and one test scene in the layout of GOPRO_Large_all."""
    root = tmp_path / "gopro"
    write_scene(root / "train" / "GOPR0001_11_00", seed=1)
    write_scene(root / "train" / "GOPR0002_11_00", seed=2)
    write_scene(root / "test" / "GOPR0003_11_00", seed=3)
    return root


def write_scene(folder: Path, *, seed: int, frames: int = 10, first: int = 41) -> None:
    """A picture that moves two pixels to the right and one down from frame to frame."""
    big = make_picture(160, 200, seed)
    for k in range(frames):
        top, left = 40 - k, 60 - 2 * k
        write_image(folder / f"{first + k:06d}.png", big[top : top + 72, left : left + 96])


def write_image(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def make_sample(key: str = "clip-0123456789abcdef-000000", *, m: int = 3, side=(24, 32)) -> Sample:
    """A video sample of pictures that move."""
    height, width = side
    frames = np.stack([make_picture(height, width + 16, 5)[:, k : k + width] for k in range(m)])
    meta = {
        "schema": SCHEMA_VERSION,
        "kind": "video",
        "source": "train/GOPR0001_11_00",
        "n": m,
        "times": [k / (m - 1) for k in range(m)],
        "response": "identity",
        "exact_mean": True,
        "seed": 0,
        "direction": [-1.0, 0.0, 0.0],
        "clipped": 0.0,
        "scene": "GOPR0001_11_00",
        "first_frame": "000041.png",
        "crop_xywh": [0, 0, width, height],
    }
    return Sample(key, np.rint(frames.mean(0)).astype(np.uint8), frames, meta)


def tree(out):
    """Every file of the data sets by its place, without what may differ between two runs."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return comparable({path.relative_to(out).as_posix(): path.read_bytes() for path in files})


def comparable(found):
    """The same of files that have been read: place -> content."""
    for place in [place for place in found if place.endswith("manifest.json")]:
        told = json.loads(found[place])
        found[place] = {name: told[name] for name in told.keys() - {"run", "sha256"}}
    for place in [place for place in found if place.endswith("README.md")]:
        found[place] = re.sub(rb"(?m)^blursynth (panorama|gopro) .*$", b"", found[place])
    return {place: data for place, data in found.items() if not place.endswith(".digests.json")}


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MB, and a function that makes it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only, where the machine allows it")
    try:
        yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# --- the two programs as they are typed ---


@pytest.fixture
def typed(monkeypatch, capfd):
    """typed(main, name, *arguments) -> (exit code, stdout, stderr) of that program."""

    def run(main, name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), *capfd.readouterr()

    return run


@pytest.fixture
def blursynth(typed):
    """blursynth("panorama", ...) -> (exit code, stdout, stderr)."""
    return lambda *arguments: typed(synth.main, "blursynth", *arguments)


@pytest.fixture
def blurvid(typed):
    """blurvid("train", ...) -> (exit code, stdout, stderr)."""
    return lambda *arguments: typed(vid.main, "blurvid", *arguments)
