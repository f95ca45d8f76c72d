"""Sampling images and features at other places: affine warps, flow warps, area downsampling.

The one convention: the centre of pixel (row i, column j) is (j + 0.5, i + 0.5); normalised
coordinates run from -1 to 1 between the outer edges of the image (`align_corners=False`).
Both warps are backward (the output asks where to look in the input), bilinear, and repeat the
border: a predicted frame that looks past the edge is never darkened, as zero padding would do.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Beyond +-1 every position shows the border, so this bound changes no finite result.
GRID_BOUND = 2.0


def affine_warp(image: Tensor, theta: Tensor) -> Tensor:
    """(B, C, H, W), theta (B, 2, 3) -> (B, C, H, W): the output at (x, y) is the image at
    theta (x, y, 1), both normalised: target -> source, as `affine_grid` has it.

    Computed in float32 (float64 stays) also under autocast; returns the image's dtype.
    """
    x, y = _normalised_centres(image)
    theta = theta[:, None, None].to(x.dtype)
    grid = theta[..., 0] * x + theta[..., 1] * y + theta[..., 2]
    return _sample(image, grid)


def flow_warp(image: Tensor, flow: Tensor) -> Tensor:
    """(B, C, H, W), flow (B, 2, H, W) in pixels (x, y) -> (B, C, H, W): the output at pixel p
    is the image at p + flow(p).

    Computed in float32 (float64 stays) also under autocast; returns the image's dtype.
    """
    x, y = _normalised_centres(image)
    height, width = image.shape[-2:]
    flow_x, flow_y = flow.to(x.dtype).unbind(1)
    grid = torch.stack((x[..., 0] + flow_x * (2 / width), y[..., 0] + flow_y * (2 / height)), -1)
    return _sample(image, grid)


def inverse_affine(theta: Tensor) -> Tensor:
    """(..., 2, 3) -> (..., 2, 3): the theta that undoes it, that of the inverted 3x3 matrix.

    A theta that cannot be undone (its 2x2 part is singular) gives infinity or NaN, not an error.
    """
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in theta.unbind(-2))
    inverse = torch.stack((d, -b, b * y - d * x, -c, a, c * x - a * y), -1)
    return (inverse / (a * d - b * c)[..., None]).unflatten(-1, (2, 3))


def area_downsample(image: Tensor, factor: int) -> Tensor:
    """(..., C, H, W) -> (..., C, H / factor, W / factor): means of factor x factor pixels.

    H and W are multiples of the factor.
    """
    if factor == 1:
        return image
    pooled = F.avg_pool2d(image.flatten(0, -4) if image.ndim > 4 else image, factor)
    return pooled.reshape(*image.shape[:-2], *pooled.shape[-2:])


def _normalised_centres(image: Tensor) -> tuple[Tensor, Tensor]:
    """x (1, W, 1) and y (H, 1, 1) of the pixel centres, normalised, in the warp's precision."""
    dtype = _warp_dtype(image)
    height, width = image.shape[-2:]
    x = (2 * torch.arange(width, device=image.device, dtype=dtype) + 1) / width - 1
    y = (2 * torch.arange(height, device=image.device, dtype=dtype) + 1) / height - 1
    return x[None, :, None], y[:, None, None]


def _warp_dtype(image: Tensor) -> torch.dtype:
    return torch.float64 if image.dtype == torch.float64 else torch.float32


def _sample(image: Tensor, grid: Tensor) -> Tensor:
    """The image at the grid's (B, H, W, 2) normalised positions (x, y), NaN read as the centre.

    A grid with NaN, infinity or huge values crashes torch's float32 kernel on the CPU.
    """
    grid = torch.nan_to_num(grid, nan=0.0).clamp(-GRID_BOUND, GRID_BOUND)
    sampled = F.grid_sample(
        image.to(grid.dtype), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.to(image.dtype)
