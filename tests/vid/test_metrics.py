"""PSNR and SSIM: spec 4."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from blurvid import metrics

SKIMAGE_SSIM = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
    "channel_axis": -1,
}


def random_pair(size_hw=(37, 52), *, seed=0, noise=20.0):
    """A picture of soft shapes and a noisy copy, (H, W, 3) uint8."""
    draw = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(0, 6, s) for s in size_hw), indexing="ij")
    picture = np.stack([np.sin(x + y), np.cos(2 * x), np.sin(3 * y)], -1) * 90 + 128
    other = picture + draw.normal(0, noise, picture.shape)
    return tuple(np.clip(p, 0, 255).round().astype(np.uint8) for p in (picture, other))


def tensor(rgb):
    return torch.from_numpy(rgb).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("size_hw", [(11, 11), (37, 52), (64, 23)])
@pytest.mark.parametrize("noise", [0.7, 20.0, 90.0])
def test_ssim_is_that_of_scikit_image(size_hw, noise):
    a, b = random_pair(size_hw, noise=noise)
    expected = structural_similarity(a, b, **SKIMAGE_SSIM)
    assert metrics.ssim(tensor(a), tensor(b)).item() == pytest.approx(expected, abs=1e-9)


def test_ssim_of_flat_and_of_opposite_pictures_is_that_of_scikit_image():
    flat, _ = np.full((20, 30, 3), 7, np.uint8), None
    a, _ = random_pair((20, 30))
    for first, second in [(flat, flat), (flat, a), (a, 255 - a)]:
        expected = structural_similarity(first, second, **SKIMAGE_SSIM)
        got = metrics.ssim(tensor(first), tensor(second)).item()
        assert got == pytest.approx(expected, abs=1e-9)


def test_psnr_is_that_of_scikit_image():
    a, b = random_pair()
    expected = peak_signal_noise_ratio(a, b, data_range=255)
    assert metrics.psnr(tensor(a), tensor(b)).item() == pytest.approx(expected, abs=1e-9)


def test_a_difference_of_one_code_everywhere_is_48_13_db():
    black = torch.zeros(3, 12, 12)
    assert metrics.psnr(black, black + 1 / 255).item() == pytest.approx(48.1308, abs=1e-4)


def test_an_exact_image_is_at_the_cap_and_its_ssim_is_one():
    image = tensor(random_pair()[1])
    assert metrics.psnr(image, image).item() == metrics.PSNR_CAP_DB
    assert metrics.ssim(image, image).item() == pytest.approx(1, abs=1e-12)


def test_images_are_clamped_and_rounded_to_8_bit():
    truth = tensor(random_pair()[0])
    assert metrics.psnr(truth + 0.4 / 255, truth).item() == metrics.PSNR_CAP_DB
    assert metrics.psnr(truth + 0.6 / 255, truth).item() < 49
    white = torch.ones(3, 12, 12)
    assert metrics.psnr(white * 7, white).item() == metrics.PSNR_CAP_DB


def test_every_code_survives_the_way_to_float32_and_back():
    codes = torch.arange(256)
    assert torch.equal(metrics.to_codes(codes.float() / 255), codes.double())


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_a_batch_is_measured_image_by_image(measure):
    a, b = (torch.stack([tensor(random_pair(seed=s)[k]) for s in range(4)]) for k in (0, 1))
    batched = measure(a.view(2, 2, *a.shape[1:]), b.view(2, 2, *b.shape[1:]))
    assert batched.shape == (2, 2) and batched.dtype == torch.float64
    one_by_one = torch.stack([measure(x, y) for x, y in zip(a, b)])
    torch.testing.assert_close(batched.flatten(), one_by_one, rtol=1e-12, atol=1e-12)
    broadcast = measure(a[:1], b)
    torch.testing.assert_close(broadcast[2], measure(a[0], b[2]), rtol=1e-12, atol=1e-12)


def test_a_mask_of_everything_changes_nothing():
    a, b = map(tensor, random_pair())
    whole = torch.ones(a.shape[-2:], dtype=torch.bool)
    torch.testing.assert_close(metrics.masked_psnr(a, b, whole), metrics.psnr(a, b))
    torch.testing.assert_close(metrics.masked_ssim(a, b, whole), metrics.ssim(a, b))


def test_what_lies_outside_the_mask_does_not_count():
    a, b = map(tensor, random_pair())
    mask = torch.zeros(a.shape[-2:], dtype=torch.bool)
    mask[5:25, 8:40] = True
    spoilt = torch.where(mask, b, 1 - b)
    inside = (slice(None), slice(5, 25), slice(8, 40))
    expected = metrics.psnr(a[inside], b[inside])
    torch.testing.assert_close(metrics.masked_psnr(a, spoilt, mask), expected)
    expected = metrics.ssim(a[inside], b[inside])
    torch.testing.assert_close(metrics.masked_ssim(a, spoilt, mask), expected)


def test_a_mask_of_nothing_gives_nan_and_not_a_score():
    a, b = map(tensor, random_pair())
    nothing = torch.zeros(a.shape[-2:], dtype=torch.bool)
    assert metrics.masked_psnr(a, b, nothing).isnan()
    assert metrics.masked_ssim(a, b, nothing).isnan()


def test_a_value_that_is_not_finite_gives_nan_and_not_a_score():
    a, b = map(tensor, random_pair())
    a[1, 3, 4] = torch.nan
    assert metrics.psnr(a, b).isnan() and metrics.ssim(a, b).isnan()


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        metrics.ssim(torch.zeros(3, 10, 40), torch.zeros(3, 10, 40))


# --- SSIM of the volume ---------------------------------------------------------------------


def scikit_volume_ssim(a, b):
    """MATLAB's `ssim` of an H x W x 3 array: scikit-image crops just what the padding adds."""
    padded = (np.pad(image, 5, mode="edge") for image in (a, b))
    options = {k: v for k, v in SKIMAGE_SSIM.items() if k != "channel_axis"}
    return structural_similarity(*padded, **options)


@pytest.mark.parametrize("size_hw", [(11, 11), (37, 52), (64, 23), (5, 7), (1, 1)])
@pytest.mark.parametrize("noise", [0.7, 90.0])
def test_ssim3d_is_that_of_scikit_image_on_the_padded_volume(size_hw, noise):
    a, b = random_pair(size_hw, noise=noise)
    got = metrics.ssim3d(tensor(a), tensor(b)).item()
    assert got == pytest.approx(scikit_volume_ssim(a, b), abs=1e-9)


def test_ssim3d_is_that_of_a_volume_filtered_voxel_by_voxel():
    """Brute force: the window around each voxel of the volume with its edge repeated."""
    a, b = random_pair((6, 8))
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.einsum("i,j,k->ijk", *[line / line.sum()] * 3)
    x, y = (np.pad(image.astype(float), 5, mode="edge") for image in (a, b))
    similarities = []
    for i, j, k in np.ndindex(a.shape):
        around = np.s_[i : i + 11, j : j + 11, k : k + 11]
        mean_x, mean_y = (window * x[around]).sum(), (window * y[around]).sum()
        variance_x = (window * (x[around] - mean_x) ** 2).sum()
        variance_y = (window * (y[around] - mean_y) ** 2).sum()
        covariance = (window * (x[around] - mean_x) * (y[around] - mean_y)).sum()
        similarities.append(
            (2 * mean_x * mean_y + metrics.C1)
            * (2 * covariance + metrics.C2)
            / ((mean_x**2 + mean_y**2 + metrics.C1) * (variance_x + variance_y + metrics.C2))
        )
    got = metrics.ssim3d(tensor(a), tensor(b)).item()
    assert got == pytest.approx(np.mean(similarities), abs=1e-9)


def test_ssim3d_reads_higher_than_ssim_and_is_one_for_equal_images():
    a, b = (tensor(image) for image in random_pair())
    assert metrics.ssim3d(a, b) > metrics.ssim(a, b) + 0.05
    assert metrics.ssim3d(a, a).item() == pytest.approx(1, abs=1e-12)


def test_masked_ssim3d_sees_only_windows_inside_the_mask():
    a, b = (tensor(image) for image in random_pair())
    mask = torch.zeros(37, 52, dtype=torch.bool)
    mask[:30, :40] = True
    spoilt = torch.where(mask, b, 1 - b)
    got = metrics.masked_ssim3d(a, spoilt, mask)
    torch.testing.assert_close(got, metrics.masked_ssim3d(a, b, mask))
    whole = torch.ones_like(mask)
    torch.testing.assert_close(metrics.masked_ssim3d(a, b, whole), metrics.ssim3d(a, b))
    assert metrics.masked_ssim3d(a, b, ~whole).isnan()
    assert abs(got - metrics.masked_ssim3d(a, spoilt, whole)) > 0.01
