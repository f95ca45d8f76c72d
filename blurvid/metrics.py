"""How close an image is to the truth: PSNR, SSIM and MATLAB's SSIM of a volume (spec 4).

Images are (..., 3, H, W) floats in [0, 1]; leading axes broadcast. All are first clamped to [0, 1]
and rounded to 8 bit, as a saved picture is. Results are (...) float64, NaN where an image holds a
value that is not finite. Masks are (..., H, W) bool; where they leave nothing, the result is NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PSNR_CAP_DB = 100.0
DATA_RANGE = 255.0
WINDOW = 11
SIGMA = 1.5
C1, C2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """(..., 3, H, W) twice -> (...) dB, at most `PSNR_CAP_DB`, which equal images have."""
    return _decibels(_squared_error(image, truth).mean((-2, -1)))


def masked_psnr(image: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """`psnr` over the pixels of the mask alone."""
    return _decibels(_masked_mean(_squared_error(image, truth), mask))


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """(..., 3, H, W) twice -> (...): the mean over windows inside the image, then over colours.

    scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255, channel_axis=-1)`.
    """
    return _each_image(lambda a, b: _ssim_map(a, b).mean((-2, -1)), image, truth)


def masked_ssim(image: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """`ssim` over the windows that lie wholly inside the mask."""
    outside = 1 - mask.double()
    touched = F.max_pool2d(outside.reshape(-1, *mask.shape[-2:]), WINDOW, stride=1)
    inside = 1 - touched.reshape(*mask.shape[:-2], *touched.shape[-2:])
    return _each_image(lambda a, b, m: _masked_mean(_ssim_map(a, b), m), image, truth, inside)


def ssim3d(image: Tensor, truth: Tensor) -> Tensor:
    """(..., 3, H, W) twice -> (...): what MATLAB's `ssim` gives for an H x W x 3 array, which it
    takes for a volume: Gaussian 11x11x11 with the edge replicated, the mean over all voxels.

    Colours are blurred into each other, so that it reads far higher than `ssim`.
    """
    return _each_image(lambda a, b: _ssim3d_map(a, b).mean((-2, -1)), image, truth)


def masked_ssim3d(image: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """`ssim3d` over the voxels whose window, as far as it is in the image, lies in the mask."""
    outside = 1 - mask.double()
    touched = F.max_pool2d(
        outside.reshape(-1, 1, *mask.shape[-2:]), WINDOW, stride=1, padding=WINDOW // 2
    )
    inside = 1 - touched.reshape(mask.shape)
    return _each_image(lambda a, b, m: _masked_mean(_ssim3d_map(a, b), m), image, truth, inside)


class Measure(NamedTuple):
    """A metric: of whole images, and over the pixels of a mask alone."""

    whole: Callable[[Tensor, Tensor], Tensor]
    masked: Callable[[Tensor, Tensor, Tensor], Tensor]


METRICS = {"psnr": Measure(psnr, masked_psnr), "ssim": Measure(ssim, masked_ssim)}
METRICS_AND_SSIM3D = {**METRICS, "ssim3d": Measure(ssim3d, masked_ssim3d)}


def to_codes(image: Tensor) -> Tensor:
    """[0, 1] -> 0, 1 ... 255 in float64: clamped, rounded to 8 bit."""
    return image.double().clamp(0, 1).mul(DATA_RANGE).round()


def _squared_error(image: Tensor, truth: Tensor) -> Tensor:
    """(..., H, W): the mean over colours of the squared difference of codes."""
    return (to_codes(image) - to_codes(truth)).square().mean(-3)


def _decibels(mean_squared_error: Tensor) -> Tensor:
    return (10 * torch.log10(DATA_RANGE**2 / mean_squared_error)).clamp(max=PSNR_CAP_DB)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(..., H, W), mask (..., H, W) -> (...)."""
    weights = mask.to(values.dtype)
    return (values * weights).sum((-2, -1)) / weights.sum((-2, -1))


def _each_image(
    measure: Callable[..., Tensor], image: Tensor, truth: Tensor, *masks: Tensor
) -> Tensor:
    """`measure` of one image after the other: float64 maps of a whole batch would be large."""
    shape = torch.broadcast_shapes(image.shape[:-3], truth.shape[:-3])
    flat = [_flattened(t, shape, axes=3) for t in (image, truth)]
    flat += [_flattened(m, shape, axes=2) for m in masks]
    return torch.stack([measure(*one) for one in zip(*flat, strict=True)]).reshape(shape)


def _flattened(images: Tensor, shape: torch.Size, *, axes: int) -> Tensor:
    """Leading axes broadcast to `shape`, then made one; the last `axes` stay."""
    own = images.shape[-axes:]
    return images.expand(*shape, *own).reshape(-1, *own)


def _ssim_map(image: Tensor, truth: Tensor) -> Tensor:
    """(3, H, W) twice -> (H - 10, W - 10): the mean over colours of each whole window's SSIM."""
    x, y = to_codes(image), to_codes(truth)
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(
            f"expected images of at least {WINDOW} pixels a side for SSIM, "
            f"found {x.shape[-1]}x{x.shape[-2]}"
        )
    return _similarity(x, y, _blurred).mean(-3)


def _ssim3d_map(image: Tensor, truth: Tensor) -> Tensor:
    """(3, H, W) twice -> (H, W): the mean over colours of each voxel's SSIM."""
    return _similarity(to_codes(image), to_codes(truth), _blurred_volume).mean(-3)


def _similarity(x: Tensor, y: Tensor, blurred: Callable[[Tensor], Tensor]) -> Tensor:
    """The SSIM of each window, whose weighted means `blurred` takes."""
    mean_x, mean_y, mean_squares, mean_xy = blurred(torch.stack((x, y, x * x + y * y, x * y)))
    squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
    similarity = (2 * product + C1) * (2 * (mean_xy - product) + C2)
    return similarity / ((squares + C1) * (mean_squares - squares + C2))


def _blurred(maps: Tensor) -> Tensor:
    """(..., H, W) -> (..., H - 10, W - 10): Gaussian means over whole windows.

    By banded matrices: several times faster on a CPU than a float64 convolution.
    """
    rows, columns = (_band(size, maps) for size in maps.shape[-2:])
    return rows @ maps @ columns.T


def _band(size: int, like: Tensor) -> Tensor:
    """(size - 10, size): row i holds the window's weights at columns i ... i + 10."""
    offsets = torch.arange(size, dtype=like.dtype, device=like.device)
    distance = offsets - offsets[: size - WINDOW + 1, None] - WINDOW // 2
    weights = torch.exp(-0.5 * (distance / SIGMA) ** 2) * (distance.abs() <= WINDOW // 2)
    return weights / weights.sum(1, keepdim=True)


def _blurred_volume(maps: Tensor) -> Tensor:
    """(..., 3, H, W) -> the same: Gaussian means over 11x11x11 voxels, the edge replicated."""
    colours, rows, columns = (_replicating_band(size, maps) for size in maps.shape[-3:])
    return torch.einsum("dc,...chw->...dhw", colours, rows @ maps @ columns.T)


def _replicating_band(size: int, like: Tensor) -> Tensor:
    """(size, size): row i weighs what the window around i sees of a line with replicated ends."""
    radius = WINDOW // 2
    padded = _band(size + 2 * radius, like)  # (size, size + 10)
    ends = padded[:, :radius].sum(1), padded[:, -radius:].sum(1)
    band = padded[:, radius:-radius].clone()
    band[:, 0] += ends[0]
    band[:, -1] += ends[1]
    return band
