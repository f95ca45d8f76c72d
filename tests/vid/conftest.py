"""Small data sets made by hand, written by the real writer."""

import numpy as np
import pytest

from blursynth.schema import SCHEMA_VERSION, Sample
from blursynth.shards import ShardName, write_shard


def _meta(frames, **changes):
    return {
        "schema": SCHEMA_VERSION,
        "kind": "video",
        "source": "scene",
        "n": frames,
        "times": [i / max(frames - 1, 1) for i in range(frames)],
        "response": "identity",
        "exact_mean": True,
        "seed": 0,
        "direction": [1.0, 0.0, 0.0],
        "clipped": 0.0,
        "scene": "scene",
        "first_frame": "000000.png",
        "crop_xywh": [0, 0, 1, 1],
        **changes,
    }


def _sample(number, *, name="dots", frames=3, size_hw=(32, 40), **meta):
    """A bright square on a dark ground that moves to the right; its place follows `number`."""
    rng = np.random.default_rng(number)
    ground = rng.integers(0, 90, 3)
    images = np.broadcast_to(ground, (frames, *size_hw, 3)).astype(np.uint8)
    top, left = int(rng.integers(size_hw[0] - 12)), int(rng.integers(size_hw[1] - 12 - 2 * frames))
    for time, image in enumerate(images):
        image[top : top + 12, left + 2 * time : left + 2 * time + 12] = 255 - ground
    blur = np.round(images.mean(0)).astype(np.uint8)
    return Sample(f"{name}-{number:06d}", blur, images, _meta(frames, **meta))


@pytest.fixture(scope="session")
def make_sample():
    """make_sample(number, name=, frames=, size_hw=, **meta) -> Sample."""
    return _sample


@pytest.fixture(scope="session")
def write_data_set():
    """write_data_set(folder, name, split, [samples of each shard], first=, **of the samples)
    writes shards of that many samples, numbered on from `first`."""

    def write(folder, name, split, counts, first=0, fingerprint="f" * 64, **of_samples):
        for number, count in enumerate(counts):
            samples = [_sample(first + i, name=name, **of_samples) for i in range(count)]
            shard = ShardName(str(folder), name, split, number)
            write_shard(shard, samples, fingerprint=fingerprint, image_format="png")
            first += count
        return folder

    return write
