"""Frames, crops and the direction of time belong to the sample, not to who prepares it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from blursynth.rotation import matrices, quat_from_euler, rotation_vector_deg
from blursynth.windows import direction_of
from blurvid.batch import (
    FRAME_ORDERS,
    Assembly,
    Batch,
    evenly_spaced,
    flipped,
    frames_as_stored,
    frames_canonical,
    points_backward,
    unit_range,
    write_planes,
)
from blurvid.index import find_mixture
from blurvid.order import GlobalBatch, Order
from blurvid.stream import read_batches


def _assembly(crop_hw=(16, 20), seed=0, order="given", frames=3, flip=False):
    return Assembly(crop_hw, frames, seed, FRAME_ORDERS[order], flip)


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


# --- mirrors ---

MIRRORS = [(True, False), (False, True), (True, True)]


def _mirrored_quat(quat, across, upside_down):
    """The orientation in the mirrored world of the camera whose picture is the mirrored one."""
    mirror = np.diag([-1.0 if across else 1.0, -1.0 if upside_down else 1.0, 1.0])
    turned = mirror @ matrices(quat[None])[0] @ mirror
    trace = np.sqrt(1 + np.trace(turned)) / 2
    axis = [turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]]
    return np.array([trace, *np.array(axis) / (4 * trace)])


@pytest.mark.parametrize(("across", "upside_down"), MIRRORS)
def test_a_mirrored_panorama_sample_has_the_direction_of_the_mirrored_world(
    make_sample, across, upside_down
):
    first = quat_from_euler(np.array([3.0, -20.0, 7.0]))
    last = quat_from_euler(np.array([-4.0, -12.0, 1.0]))
    direction = rotation_vector_deg(first, last)[[1, 0, 2]]
    sample = make_sample(0, direction=direction.tolist())
    mirrored = (_mirrored_quat(q, across, upside_down) for q in (first, last))
    expected = rotation_vector_deg(*mirrored)[[1, 0, 2]]
    found = flipped(sample, across=across, upside_down=upside_down).meta["direction"]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(expected).min() > 1


@pytest.mark.parametrize(("across", "upside_down"), MIRRORS)
def test_a_mirrored_video_sample_has_the_direction_of_the_mirrored_film(
    picture, make_sample, across, upside_down
):
    wide = picture(140, 160)
    film = np.stack([wide[4 + k : 132 + k, 20 - 3 * k : 148 - 3 * k] for k in range(5)])
    sample = make_sample(0, frames=5, direction=direction_of(film))
    sample = replace(sample, blur=film[2], frames=film)
    mirrored = flipped(sample, across=across, upside_down=upside_down)
    expected = direction_of(np.ascontiguousarray(mirrored.frames))
    np.testing.assert_allclose(mirrored.meta["direction"], expected, rtol=0.25)
    assert np.abs(expected[:2]).min() > 1


@pytest.mark.parametrize(("across", "upside_down"), MIRRORS)
@pytest.mark.parametrize("direction", [[3, 1, 0], [-3, 9, 0], [0.1, -1, 5], [0, 0.2, -1]])
def test_canonical_order_obeys_mirrors(make_sample, direction, across, upside_down):
    """A mirrored sample and its mirrored reversal are one film, turned to the mirrored side."""
    sample = make_sample(0, direction=direction)
    one, two = (
        flipped(s, across=across, upside_down=upside_down) for s in (sample, _reversal(sample))
    )
    assert np.array_equal(frames_canonical(one), frames_canonical(two))
    ahead = one.frames if not points_backward(one.meta["direction"]) else one.frames[::-1]
    assert np.array_equal(frames_canonical(one), ahead)


def test_a_mirror_across_turns_a_film_that_moves_across(make_sample):
    """Which frame comes first depends on what is seen, not on how it was stored."""
    sample = make_sample(0, direction=[3, 0, 0])
    mirrored = flipped(sample, across=True, upside_down=False)
    assert np.array_equal(frames_canonical(mirrored), sample.frames[::-1, :, ::-1])
    upside_down = flipped(sample, across=False, upside_down=True)
    assert np.array_equal(frames_canonical(upside_down), sample.frames[:, ::-1])


def test_flips_are_drawn_for_the_sample_and_leave_the_crops_alone(make_sample):
    sample = make_sample(0, direction=[3, 1, 0])
    seen = set()
    for epoch in range(40):
        plain = _assembled([sample], epoch=epoch, crop_hw=(32, 40)).images[0].numpy()
        mirrored = _assembled([sample], epoch=epoch, crop_hw=(32, 40), flip=True).images[0].numpy()
        (which,) = [
            (rows, columns)
            for rows in (1, -1)
            for columns in (1, -1)
            if np.array_equal(mirrored, plain[..., ::rows, ::columns])
        ]
        seen.add(which)
    assert len(seen) == 4


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
