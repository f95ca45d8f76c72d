"""What a model makes of samples, kept in a file."""

import errno
import json
import resource

import h5py
import numpy as np
import pytest
import torch

from blurvid.evaluate import EvaluationSpec, evaluate_model
from blurvid.index import find_mixture
from blurvid.prediction_file import prediction_file
from blurvid.predictions import PredictedBatch
from blurvid.stream import read_samples

from .answers import CPU, Answers, mixture_of


def beyond(frames):
    """Beyond white and black, and between codes."""
    return frames * 1.37 - 0.11


@pytest.fixture
def two_sizes(tmp_path, make_sample):
    small = [make_sample(k) for k in range(3)]
    return mixture_of(tmp_path / "d", small, [make_sample(k, size_hw=(48, 64)) for k in (3, 4)])


def kept(path, data, batch=2):
    spec = EvaluationSpec(batch=batch)
    with prediction_file(path, {"step": 7}) as file:
        evaluate_model(Answers(data, beyond), data, device=CPU, spec=spec, on_batch=file.add)


def test_the_file_holds_the_frames_clamped_and_rounded_and_the_input(two_sizes, tmp_path):
    kept(tmp_path / "p.h5", two_sizes)
    samples = {s.key: s for s in read_samples(two_sizes, range(5))}
    with h5py.File(tmp_path / "p.h5") as file:
        assert json.loads(file.attrs["made_by"]) == {"step": 7}
        assert sorted(file["made"]) == ["40x32", "64x48"]
        about = json.loads(file["made"].attrs["data_set"])
        assert about == {"name": "made", "split": "test", "fingerprint": "a" * 64}
        for size in file["made"].values():
            frames, keys = size["frames"], size["key"].asstr()[:]
            assert frames.dtype == size["blur"].dtype == np.uint8
            for k, key in enumerate(keys):
                sample = samples.pop(key)
                np.testing.assert_array_equal(size["blur"][k], sample.blur)
                unit = beyond(torch.from_numpy(sample.frames).float() / 255)
                expected = (unit.clamp(0, 1) * 255).round().byte().numpy()
                np.testing.assert_array_equal(frames[k], expected)
                assert json.loads(size["meta"][k]) == sample.meta
    assert not samples


def test_it_is_compressed_with_an_image_a_chunk_and_batches_change_nothing(two_sizes, tmp_path):
    for batch in (1, 5):
        kept(tmp_path / f"{batch}.h5", two_sizes, batch=batch)
    with h5py.File(tmp_path / "1.h5") as one, h5py.File(tmp_path / "5.h5") as five:
        for name in ("key", "meta", "blur", "frames"):
            first, other = (file["made/40x32"][name] for file in (one, five))
            np.testing.assert_array_equal(first[:], other[:])
        frames = one["made/40x32/frames"]
        assert (frames.compression, frames.chunks) == ("gzip", (1, 1, 32, 40, 3))
        assert one["made/40x32/blur"].chunks == (1, 32, 40, 3)


def test_each_data_set_has_a_group(tmp_path, write_data_set):
    for name in ("one", "two"):
        write_data_set(tmp_path / "d", name, "test", [2])
    data = find_mixture(tmp_path / "d", split="test", frames=3)
    kept(tmp_path / "p.h5", data)
    with h5py.File(tmp_path / "p.h5") as file:
        assert {name: file[name]["40x32/key"].asstr()[0] for name in file} == {
            name: f"{name}-000000" for name in ("one", "two")
        }


def test_an_error_leaves_what_was_there(two_sizes, tmp_path):
    path = tmp_path / "p.h5"
    path.write_bytes(b"earlier")

    def fail(data_set, batch):
        file.add(data_set, batch)
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"), prediction_file(path, {}) as file:
        evaluate_model(Answers(two_sizes), two_sizes, device=CPU, on_batch=fail)
    assert path.read_bytes() == b"earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "p.h5"]


def test_a_full_disk_ends_in_its_error_and_leaves_nothing(tmp_path, make_sample):
    """A limit on the size of files stands for the disk; HDF5 itself would kill the process."""
    data = mixture_of(tmp_path / "d", [make_sample(k, size_hw=(64, 64)) for k in range(8)])

    def noisy(frames):
        return torch.rand(frames.shape, generator=torch.Generator().manual_seed(0))

    def keep(path):
        with prediction_file(path, {}) as file:
            evaluate_model(Answers(data, noisy), data, device=CPU, on_batch=file.add)

    keep(tmp_path / "whole.h5")
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, earlier[1]))
    try:
        with pytest.raises(OSError) as raised:
            keep(tmp_path / "cut.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
    assert raised.value.errno == errno.EFBIG
    assert raised.value.filename == str(tmp_path / "cut.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "whole.h5"]
    assert (tmp_path / "whole.h5").stat().st_size > 200_000


def test_codes_of_a_batch_are_frames_last_axis_colour():
    frames = torch.zeros(2, 3, 3, 4, 5)
    frames[1, 2, 0, 3, 4] = 1.0
    codes = PredictedBatch([], frames[:, 0], frames, frames).codes()
    assert codes.shape == (2, 3, 4, 5, 3) and codes.dtype == np.uint8
    assert codes[1, 2, 3, 4].tolist() == [255, 0, 0] and codes.sum() == 255
