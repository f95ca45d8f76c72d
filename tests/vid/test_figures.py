"""One number a sample: blurred again, and how long the blur is."""

import numpy as np
import pytest

from blursynth.light import linear_to_srgb, srgb_to_linear
from blursynth.motion import blur_length_px
from blurvid.figures import BLUR_PX, REBLUR, REBLUR_TRUE, reblur_psnr
from blurvid.index import find_mixture
from blurvid.stream import read_samples

from .answers import CAP, evaluated, mixture_of, panorama_sample

BY_HAND = {
    "identity": (lambda v: v, lambda v: v),
    "gamma2.2": (lambda v: v**2.2, lambda v: v ** (1 / 2.2)),
    "srgb": (srgb_to_linear, linear_to_srgb),
}


def slow_reblur(frames, blur, response):
    """As spec 2.2 words it, in float64."""
    decode, encode = BY_HAND[response]
    light = np.mean([decode(frame / 255) for frame in frames], 0)
    again = np.round(encode(light) * 255)
    error = np.mean((again - blur.astype(float)) ** 2)
    return min(10 * np.log10(255**2 / error), 100.0) if error else 100.0


@pytest.mark.parametrize("response", list(BY_HAND))
@pytest.mark.parametrize("n", [3, 7])
def test_frames_are_blurred_again_under_the_response(response, n):
    rng = np.random.default_rng(n)
    frames = rng.integers(0, 256, (n, 12, 17, 3)).astype(np.uint8)
    blur = rng.integers(0, 256, (12, 17, 3)).astype(np.uint8)
    expected = slow_reblur(frames, blur, response)
    assert reblur_psnr(frames, blur, response) == pytest.approx(expected, abs=0.01)


def test_the_response_matters(make_sample):
    sample = make_sample(0)
    assert reblur_psnr(sample.frames, sample.blur, "identity") == CAP
    assert reblur_psnr(sample.frames, sample.blur, "gamma2.2") < 40


def test_an_unknown_response_is_refused(make_sample):
    sample = make_sample(0)
    with pytest.raises(ValueError, match="gamma2.2"):
        reblur_psnr(sample.frames, sample.blur, "film")


@pytest.mark.parametrize("response", list(BY_HAND))
def test_the_predicted_frames_are_clamped_and_rounded_before_they_blur(
    tmp_path, make_sample, response
):
    """Predictions beyond white and black, and between codes."""

    def change(frames):
        return frames * 1.4 - 0.13

    samples = [make_sample(k, response=response) for k in range(3)]
    evaluation = evaluated(mixture_of(tmp_path, samples), change)
    for k, sample in enumerate(samples):
        unit = change(sample.frames.astype(np.float32) / 255)
        saved = np.round(np.clip(unit, 0, 1) * 255)
        expected = slow_reblur(saved, sample.blur, response)
        assert evaluation.figures[REBLUR][k] == pytest.approx(expected, abs=0.01)
        expected = slow_reblur(sample.frames, sample.blur, response)
        assert evaluation.figures[REBLUR_TRUE][k] == pytest.approx(expected, abs=0.01)


def test_the_order_of_the_frames_does_not_change_their_blur(tmp_path, make_sample):
    data = mixture_of(tmp_path, [make_sample(k) for k in range(3)])
    ahead = evaluated(data, lambda frames: frames * 0.9).figures[REBLUR]
    back = evaluated(data, lambda frames: frames.flip(1) * 0.9).figures[REBLUR]
    np.testing.assert_array_equal(ahead, back)


def test_where_all_frames_are_stored_the_true_ones_give_the_blur_back(tmp_path, make_sample):
    figures = evaluated(mixture_of(tmp_path, [make_sample(k) for k in range(3)])).figures
    assert (figures[REBLUR_TRUE] == CAP).all() and (figures[REBLUR] == CAP).all()


def test_the_blur_length_is_that_of_the_metadata(tmp_path, make_sample):
    turns = mixture_of(tmp_path / "turns", [panorama_sample(k) for k in range(3)])
    expected = [blur_length_px(sample.meta) for sample in read_samples(turns, range(3))]
    np.testing.assert_array_equal(evaluated(turns).figures[BLUR_PX], expected)
    moving = mixture_of(tmp_path / "video", [make_sample(k, direction=[3, -4, 0]) for k in (0, 1)])
    assert evaluated(moving).figures[BLUR_PX].tolist() == [5.0, 5.0]


def test_the_blur_length_of_seven_frames_read_as_three_is_the_same(tmp_path, write_data_set):
    folder = write_data_set(
        tmp_path, "long", "test", [2], frames=7, size_hw=(32, 64), direction=[0, 9, 0]
    )
    data = find_mixture(folder, split="test", frames=3)
    assert evaluated(data).figures[BLUR_PX].tolist() == [9.0, 9.0]
