"""Laws of response curves and averaging."""

import json
from pathlib import Path

import numpy as np
import pytest

from blursynth.light import (
    RESPONSES,
    clipped_share,
    decode_codes,
    encode_codes,
    linear_to_srgb,
    mean_of_frames,
    srgb_to_linear,
)

CASES = json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text())


@pytest.mark.parametrize("response", RESPONSES)
def test_the_mean_gives_the_reference_cases(response):
    frames = [np.full((1, 1, 3), code, np.uint8) for code in CASES["response"]["frames"]]
    assert mean_of_frames(frames, response).ravel().tolist() == [CASES["response"][response]] * 3


@pytest.mark.parametrize("response", RESPONSES)
def test_codes_survive_decoding_and_encoding(response):
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(encode_codes(decode_codes(codes, response), response), codes)


def test_srgb_curves_invert_each_other_and_keep_black_and_white():
    light = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(light)), light, atol=1e-12)
    np.testing.assert_allclose(linear_to_srgb(np.array([-1.0, 0, 1, 7])), [0, 0, 1, 1], atol=1e-15)


@pytest.mark.parametrize("response", RESPONSES)
def test_the_mean_is_that_of_a_loop_over_every_value(response):
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    decode, encode = RESPONSES[response]
    for index in np.ndindex(4, 6, 3):
        light = sum(float(decode(np.float64(f[index] / 255))) for f in frames) / 5
        expected = round(float(encode(np.float64(light))) * 255)
        assert abs(int(mean_of_frames(frames, response)[index]) - expected) == 0


@pytest.mark.parametrize("response", RESPONSES)
def test_the_mean_of_equal_frames_is_that_frame(response):
    frame = np.random.default_rng(1).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    assert np.array_equal(mean_of_frames([frame] * 17, response), frame)


def test_no_frames_and_unknown_responses_are_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        mean_of_frames([], "identity")
    with pytest.raises(ValueError, match="identity, gamma2.2, srgb"):
        mean_of_frames([np.zeros((2, 2, 3), np.uint8)], "rec709")


def test_the_clipped_share_counts_pixels_with_any_channel_at_white():
    frame = np.random.default_rng(2).integers(250, 256, (9, 7, 3), dtype=np.uint8)
    assert clipped_share(frame) == pytest.approx(np.mean((frame == 255).any(-1)))
    assert clipped_share(frame * 0) == 0 and clipped_share(frame * 0 + 255) == 1
