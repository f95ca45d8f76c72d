"""Frames, crops and the direction of time belong to the sample, not to who prepares it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from blurvid.batch import (
    FRAME_ORDERS,
    Assembly,
    Batch,
    evenly_spaced,
    frames_as_stored,
    frames_canonical,
    points_backward,
    unit_range,
    write_planes,
)
from blurvid.index import find_mixture
from blurvid.order import GlobalBatch, Order
from blurvid.stream import read_batches


def _assembly(crop_hw=(16, 20), seed=0, order="given", frames=3):
    return Assembly(crop_hw, frames, seed, FRAME_ORDERS[order])


def _assembled(samples, *, epoch=0, **options):
    return _assembly(**options)(samples, GlobalBatch(0, epoch, tuple(range(len(samples)))))


def test_of_seven_frames_the_first_middle_and_last_are_taken():
    assert evenly_spaced(7, 3) == (0, 3, 6)
    assert evenly_spaced(17, 7) == (0, 3, 5, 8, 11, 13, 16)
    assert evenly_spaced(7, 7) == tuple(range(7))


@pytest.mark.parametrize("wanted", [3, 5, 7])
def test_evenly_spaced_frames_are_distinct_and_turn_into_themselves_with_time(wanted):
    for stored in range(wanted, 40):
        chosen = evenly_spaced(stored, wanted)
        assert list(chosen) == sorted(set(chosen)) and len(chosen) == wanted
        assert (chosen[0], chosen[-1]) == (0, stored - 1)
        if stored % 2:
            assert chosen == tuple(stored - 1 - i for i in reversed(chosen))
            assert chosen[wanted // 2] == stored // 2
        steps = np.diff(chosen)
        assert np.abs(steps - (stored - 1) / (wanted - 1)).max() <= 1


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="at least 7 frames .* found 3"):
        evenly_spaced(3, 7)


def _reversal(sample):
    direction = [-component for component in sample.meta["direction"]]
    meta = {**sample.meta, "direction": direction}
    return replace(sample, frames=sample.frames[::-1], meta=meta)


@pytest.mark.parametrize("direction", [[3, 0, 0], [-3, 9, 0], [0.2, -1, 5], [-0.25, 0.25, -1]])
def test_canonical_order_is_the_same_for_a_sample_and_its_reversal(make_sample, direction):
    sample = make_sample(0, direction=direction)
    one, two = frames_canonical(sample), frames_canonical(_reversal(sample))
    assert np.array_equal(one, two)
    assert not np.array_equal(frames_as_stored(sample), frames_as_stored(_reversal(sample)))


def test_the_first_clear_component_of_the_direction_must_be_positive():
    assert not points_backward([0.3, -5, -5])
    assert points_backward([-0.3, 5, 5])
    assert points_backward([-0.25, -0.3, 5])
    assert not points_backward([-0.25, -0.25, 0.25])  # none is clear: as stored


def test_a_batch_has_channels_before_rows_and_time_before_channels(make_sample):
    batch = _assembled([make_sample(i, frames=7) for i in range(2)], frames=7)
    assert batch.blur.shape == (2, 3, 16, 20) and batch.frames.shape == (2, 7, 3, 16, 20)
    assert batch.blur.dtype == batch.frames.dtype == torch.uint8
    assert batch.keys == ("dots-000000", "dots-000001")


def test_a_crop_as_large_as_the_sample_is_the_sample(make_sample):
    sample = make_sample(0)
    batch = _assembled([sample], crop_hw=(32, 40))
    assert np.array_equal(batch.blur[0].permute(1, 2, 0), sample.blur)
    assert np.array_equal(batch.frames[0].permute(0, 2, 3, 1), sample.frames)


def test_blur_and_frames_are_cropped_at_the_same_place(make_sample):
    sample = make_sample(0)
    still = replace(sample, frames=np.stack([sample.blur] * 3))
    batch = _assembled([still])
    assert all(torch.equal(frame, batch.blur[0]) for frame in batch.frames[0])


def test_a_crop_follows_seed_epoch_and_sample_and_nothing_else(make_sample):
    def ramp(number):
        rows, columns = np.mgrid[:32, :40].astype(np.uint8)
        blur = np.stack([rows, columns, rows], -1)
        return replace(make_sample(number), blur=blur, frames=np.stack([blur] * 3))

    def corner(number, seed=0, epoch=0, beside=()):
        samples = [*(ramp(i) for i in beside), ramp(number)]
        return tuple(_assembled(samples, seed=seed, epoch=epoch).blur[-1, :2, 0, 0].tolist())

    assert corner(0) == corner(0, beside=[1, 2])
    assert len({corner(0, epoch=epoch) for epoch in range(20)}) > 10
    assert len({corner(0, seed=seed) for seed in range(20)}) > 10
    assert len({corner(number) for number in range(20)}) > 10
    everywhere = [corner(0, epoch=epoch) for epoch in range(1000)]
    assert {row for row, _ in everywhere} == set(range(17))
    assert {column for _, column in everywhere} == set(range(21))


def test_a_crop_larger_than_the_sample_is_refused_by_key(make_sample):
    with pytest.raises(ValueError, match="sample dots-000000: expected at least 50x16 .* 40x32"):
        _assembled([make_sample(0)], crop_hw=(16, 50))


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_equal_whatever_the_workers(tmp_path, write_data_set, workers):
    write_data_set(tmp_path, "dots", "train", [5, 4])
    mixture = find_mixture(tmp_path, split="train", frames=3)

    def batches(workers):
        planned = Order(mixture.shard_sizes, batch=4, seed=0, last="keep").batches(0, 6)
        read = read_batches(mixture, planned, collate=_assembly(), workers=workers)
        return [delivery.made for delivery in read]

    for one, two in zip(batches(0), batches(workers), strict=True):
        assert one.keys == two.keys
        assert torch.equal(one.blur, two.blur) and torch.equal(one.frames, two.frames)


def test_the_unit_range_is_exact_at_its_ends():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert unit_range(images).tolist() == pytest.approx([0, 0.2, 1])
    assert unit_range(images).dtype == torch.float32
    assert torch.equal((unit_range(torch.arange(256)) * 255).round(), torch.arange(256.0))


def test_a_batch_moves_as_a_whole():
    batch = Batch(torch.zeros(1, 4, 3, 2, 2), ("a",))
    moved = batch.to(torch.device("meta"))
    assert moved.blur.is_meta and moved.frames.is_meta and moved.keys == ("a",)


def test_a_batch_without_samples_has_one_black_image_and_no_key():
    batch = _assembled([])
    assert batch.keys == () and not batch.blur.any() and not batch.frames.any()
    assert batch.blur.shape == (1, 3, 16, 20) and batch.frames.shape == (1, 3, 3, 16, 20)


def test_planes_are_written_from_views_as_a_transposed_copy_would(picture):
    image = picture(30, 40)
    views = [image[3:19, 5:25], image[::-1][3:19, 5:25], image[3:19, 5:25][:, ::-1]]
    into = np.zeros((3, 3, 16, 20), np.uint8)
    write_planes(views, into)
    assert np.array_equal(into, np.moveaxis(np.stack(views), -1, 1))
