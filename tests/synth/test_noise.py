"""Laws of sensor noise: mean and variance in linear light, seeds, and what it leaves alone."""

from dataclasses import replace
from math import erf

import numpy as np
import pytest

from blursynth import making, packing, plan, render
from blursynth.light import RESPONSES, decode_codes, mean_of_frames, noisy, srgb_to_linear
from blursynth.panorama import level_of
from blursynth.sources import Digests, find_panoramas, find_scenes
from blursynth.spec import (
    BlurOptions,
    CameraOptions,
    Noise,
    PanoramaOptions,
    VideoOptions,
)

from ..conftest import make_picture

SIZE = (200, 200, 3)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("read, shot", [(0.02, 0.0), (0.0, 0.03), (0.01, 0.02), (0.0, 1e-6)])
@pytest.mark.parametrize("level", [0.05, 0.2, 0.5, 0.9, 3.0])
def test_light_keeps_its_mean_and_has_the_variance_of_the_formula(level, read, shot):
    """read^2 + shot^2 x light; nothing is clipped in light."""
    found = noisy(np.full(SIZE, level), rng=rng(), read=read, shot=shot)
    deviation = np.sqrt(read**2 + shot**2 * level)
    assert found.mean() == pytest.approx(level, abs=5 * deviation / np.sqrt(found.size))
    assert found.std() == pytest.approx(deviation, rel=0.02)
    red, green = found[..., 0], found[..., 1]
    for other in (green, np.roll(red, 1, 0), np.roll(red, 1, 1)):
        assert abs(np.corrcoef(red.ravel(), other.ravel())[0, 1]) < 0.02


def test_shot_noise_counts_whole_electrons():
    """Poisson's law: whole multiples of shot^2, as often as its formula says."""
    found = noisy(np.full(SIZE, 0.03), rng=rng(), read=0.0, shot=0.1) / 0.1**2
    np.testing.assert_allclose(found, np.rint(found), atol=1e-9)
    for count, share in enumerate(np.exp(-3) * np.array([1, 3, 4.5, 4.5, 3.375])):
        assert np.mean(np.rint(found) == count) == pytest.approx(share, abs=0.005)


def test_black_has_no_shot_noise_and_light_far_above_white_stays_above():
    assert np.all(noisy(np.zeros(SIZE), rng=rng(), read=0.0, shot=1.0) == 0)
    for light in (1e5, 1e30):
        found = noisy(np.full(SIZE, light), rng=rng(), read=1.0, shot=1.0)
        assert np.all(np.isfinite(found)) and found.min() > 1


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("code", [60, 120, 200])
def test_the_blurred_image_has_the_noise_in_its_linear_light(response, code):
    """Codes, rounded, decoded again: the light of the mean, and the variance with that of rounding.
    Under the identity the light is sRGB's."""
    noise = Noise(0.01, 0.04)
    frames = [np.full(SIZE, code + d, np.uint8) for d in (-2, 0, 2)]
    blur = mean_of_frames(frames, response, noise.drawn_by(rng()))
    curve = "srgb" if response == "identity" else response
    found = decode_codes(blur, curve)
    light = decode_codes(mean_of_frames(frames, response), curve)[0, 0, 0]
    width = np.diff(decode_codes(np.uint8([[code, code + 1]]), curve)).item()
    deviation = np.sqrt(0.01**2 + 0.04**2 * light + width**2 / 12)
    assert found.mean() == pytest.approx(light, abs=0.04 * deviation)
    assert found.std() == pytest.approx(deviation, rel=0.03)


def test_light_is_clipped_at_white_after_the_noise_on_the_sensor():
    """Just above white, noise brings a share of the pixels below it: that of a normal."""
    level = level_of(np.full((64, 128, 3), 1.02, np.float32))
    options = PanoramaOptions(
        camera=CameraOptions(size=64, noise=Noise(read=0.02)), clip="sensor", response="srgb"
    )
    spec = plan.panorama_spec("d", "a.png", 0, options)
    sample = render.render_sample(spec, level, options, rng())
    least_white = srgb_to_linear(254.5 / 255)
    expected = 0.5 * (1 + erf((least_white - 1.02) / 0.02 / np.sqrt(2)))
    assert np.mean(sample.blur < 255) == pytest.approx(expected, abs=0.015) and expected > 0.1
    assert sample.frames.min() == 255


# --- samples -----------------------------------------------------------------------------------

NOISE = Noise(0.02, 0.02)
PANORAMA = PanoramaOptions(camera=CameraOptions(size=24))
VIDEO = VideoOptions(n=5, crop=40, frames="3")


def with_noise(options, noise):
    if isinstance(options, PanoramaOptions):
        return replace(options, camera=replace(options.camera, noise=noise))
    return replace(options, blur=BlurOptions(noise=noise))


@pytest.fixture(params=[PANORAMA, VIDEO], ids=["panorama", "video"])
def options(request):
    return request.param


@pytest.fixture
def samples(sun360, gopro, tmp_path):
    """samples(options, numbers) -> the samples of one source, by key."""

    def made(options, numbers=(0, 1, 2)):
        if isinstance(options, PanoramaOptions):
            (source, *_), _ = find_panoramas(sun360, Digests(tmp_path / "digests.json"))
            maker = making.PanoramaMaker("d", options)
        else:
            (source, *_), _ = find_scenes(gopro, Digests(tmp_path / "digests.json"))
            maker = making.WindowMaker("d", options)
        return {s.key: s for s in maker.samples(packing.Take(source, numbers))}

    return made


def test_only_the_blur_and_what_is_said_of_it_change(samples, options):
    clean, noisy_ = samples(options), samples(with_noise(options, NOISE))
    assert clean.keys() == noisy_.keys() and len(clean) == 3
    for key, one in clean.items():
        other = noisy_[key]
        assert np.array_equal(one.frames, other.frames)
        said = {"exact_mean": False, "read_noise": 0.02, "shot_noise": 0.02}
        assert other.meta == {**one.meta, **said}
        difference = other.blur.astype(float) - one.blur
        assert 1 < difference.std() < 20


def test_no_noise_is_no_change_to_the_byte(samples, options):
    clean, none = samples(options), samples(with_noise(options, Noise(0.0, 0.0)))
    for key, one in clean.items():
        assert np.array_equal(one.blur, none[key].blur) and one.meta == none[key].meta
    assert clean[key].meta["exact_mean"] and "read_noise" not in one.meta


def test_the_noise_of_a_sample_is_its_own_whatever_is_made_beside_it(samples, options):
    noisy_options = with_noise(options, NOISE)
    together, alone = samples(noisy_options), samples(noisy_options, (2,))
    for key, one in alone.items():
        assert np.array_equal(one.blur, together[key].blur)
    clean = samples(options)
    patterns = [
        (sample.blur.astype(float) - clean[key].blur)[..., 0].ravel()
        for key, sample in together.items()
    ]
    assert np.abs(np.corrcoef(patterns) - np.eye(3)).max() < 0.2


def test_other_seeds_give_other_noise_and_read_and_shot_stand_alone(samples, options):
    one = samples(with_noise(options, NOISE), (0,))
    for changed in (Noise(0.02, 0.0), Noise(0.0, 0.02)):
        (key, other), = samples(with_noise(options, changed), (0,)).items()
        assert not np.array_equal(other.blur, one[key].blur)
        assert {"read_noise", "shot_noise"} & other.meta.keys() == set(changed.told)
    first, again, another = (plan.noise_generator(s, "a", 0).random() for s in (0, 0, 1))
    assert first == again != another
    assert first != plan._generator(0, "a", 0).random()


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
def test_impossible_noise_is_refused_at_birth(value):
    with pytest.raises(ValueError, match="--read-noise from 0 to 1"):
        Noise(read=value)
    with pytest.raises(ValueError, match="--shot-noise of 0, or from 1e-06 to 1"):
        Noise(shot=value)


def test_noise_without_a_generator_is_our_own_mistake():
    options = with_noise(PANORAMA, NOISE)
    spec = plan.panorama_spec("d", "a.png", 0, options)
    level = level_of((make_picture(64, 128) / 255).astype(np.float32))
    with pytest.raises(AttributeError):
        render.render_sample(spec, level, options)
