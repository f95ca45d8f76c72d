"""Laws of warps and area downsampling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from blurvid.warp import affine_warp, area_downsample, flow_warp

IDENTITY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def random_image(*shape, dtype=torch.float64, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sample_slowly(image, x, y):
    """image (C, H, W) at the place (x, y) in pixels, centres at +0.5, border repeated."""
    height, width = image.shape[1:]
    x = np.clip(x - 0.5, 0, width - 1)
    y = np.clip(y - 0.5, 0, height - 1)
    j, i = int(x), int(y)
    right, below = min(j + 1, width - 1), min(i + 1, height - 1)
    top = image[:, i, j] * (1 - (x - j)) + image[:, i, right] * (x - j)
    bottom = image[:, below, j] * (1 - (x - j)) + image[:, below, right] * (x - j)
    return top * (1 - (y - i)) + bottom * (y - i)


def warp_slowly(image, place):
    """Each output pixel (x, y), at its centre, is the image at place(x, y, i, j)."""
    warped = np.zeros_like(image)
    for i in range(image.shape[1]):
        for j in range(image.shape[2]):
            warped[:, i, j] = sample_slowly(image, *place(j + 0.5, i + 0.5, i, j))
    return warped


def test_an_affine_warp_on_a_non_square_image_is_what_a_slow_loop_makes_of_theta():
    image = random_image(1, 2, 5, 8)
    theta = np.array([[0.8, -0.3, 0.25], [0.2, 1.1, -0.15]])

    def place(x, y, i, j):
        u, v = theta @ [2 * x / 8 - 1, 2 * y / 5 - 1, 1]
        return (u + 1) / 2 * 8, (v + 1) / 2 * 5

    warped = affine_warp(image, torch.tensor(theta)[None])[0].numpy()
    np.testing.assert_allclose(warped, warp_slowly(image[0].numpy(), place), atol=1e-12)


def test_a_flow_warp_on_a_non_square_image_is_what_a_slow_loop_makes_of_the_flow():
    image = random_image(1, 2, 5, 8)
    flow = 6 * random_image(1, 2, 5, 8, seed=1) - 3

    def place(x, y, i, j):
        return x + flow[0, 0, i, j].item(), y + flow[0, 1, i, j].item()

    warped = flow_warp(image, flow)[0].numpy()
    np.testing.assert_allclose(warped, warp_slowly(image[0].numpy(), place), atol=1e-12)


def test_an_affine_warp_is_torch_s_own_with_its_grid():
    image = random_image(3, 2, 6, 9)
    theta = IDENTITY.double() + 0.3 * (random_image(3, 2, 3, seed=2) - 0.5)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    theirs = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(affine_warp(image, theta), theirs)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("axis, size", [(0, 7), (1, 4)])
def test_a_translation_by_one_pixel_shows_the_next_pixel_at_each_place(dtype, axis, size):
    image = random_image(1, 3, 4, 7, dtype=dtype)
    theta = IDENTITY.to(dtype).clone()
    theta[axis, 2] = 2 / size
    flow = torch.zeros(1, 2, 4, 7, dtype=dtype)
    flow[:, axis] = 1
    expected = torch.cat((image[..., 1:], image[..., -1:]), -1)
    if axis == 1:
        expected = torch.cat((image[..., 1:, :], image[..., -1:, :]), -2)
    for warped in (affine_warp(image, theta[None]), flow_warp(image, flow)):
        torch.testing.assert_close(warped, expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_identity_and_zero_flow_leave_the_image(dtype):
    image = random_image(2, 3, 5, 9, dtype=dtype)
    theta = IDENTITY.to(dtype).expand(2, 2, 3)
    tolerance = {"rtol": 0, "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(affine_warp(image, theta), image, **tolerance)
    flow = torch.zeros(2, 2, 5, 9, dtype=dtype)
    torch.testing.assert_close(flow_warp(image, flow), image, **tolerance)


def test_a_single_pixel_warps_to_itself_wherever_it_is_looked_for():
    image = random_image(1, 3, 1, 1)
    flow = torch.full((1, 2, 1, 1), 40.0, dtype=torch.float64)
    assert torch.equal(flow_warp(image, flow), image)


def test_the_affine_gradient_is_the_numerical_one():
    image = random_image(2, 2, 4, 5).requires_grad_()
    theta = (IDENTITY.double() + 0.2 * (random_image(2, 2, 3, seed=3) - 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(affine_warp, (image, theta))


def test_the_flow_gradient_is_the_numerical_one():
    image = random_image(2, 2, 4, 5).requires_grad_()
    flow = (2 * random_image(2, 2, 4, 5, seed=4) - 1).requires_grad_()
    assert torch.autograd.gradcheck(flow_warp, (image, flow))


def test_the_gradient_through_an_inverse_theta_is_the_numerical_one():
    """The light model's later frames: the inverse of an earlier frame's theta as 3x3."""

    def warp_back(image, theta):
        last_row = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=theta.dtype).expand(len(theta), 1, 3)
        return affine_warp(image, torch.linalg.inv(torch.cat((theta, last_row), 1))[:, :2])

    image = random_image(2, 2, 4, 7).requires_grad_()
    theta = (IDENTITY.double() + 0.2 * (random_image(2, 2, 3, seed=5) - 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(warp_back, (image, theta))


def test_the_gradient_through_a_negated_flow_is_the_numerical_one():
    """The light model's later frames: the negative of an earlier frame's flow."""
    image = random_image(2, 2, 4, 7).requires_grad_()
    flow = (2 * random_image(2, 2, 4, 7, seed=6) - 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: flow_warp(i, -f), (image, flow))


def test_an_inverse_theta_undoes_a_warp_inside_of_a_smooth_non_square_image():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(80.0), indexing="ij")
    image = torch.stack((torch.sin(x / 9 + y / 14), torch.cos(y / 8 - x / 17)))[None].double()
    theta = torch.tensor([[[1.02, 0.05, 0.06], [-0.04, 0.97, -0.05]]], dtype=torch.float64)
    square = torch.cat((theta, torch.tensor([[[0.0, 0, 1]]], dtype=torch.float64)), 1)
    back = affine_warp(affine_warp(image, theta), torch.linalg.inv(square)[:, :2])
    inside = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(back[inside], image[inside], rtol=0, atol=0.01)
    assert (affine_warp(image, theta) - image)[inside].abs().max() > 0.2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38, -3e38])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_diverged_motion_gives_finite_pixels_and_gradients(value, dtype):
    image = random_image(2, 3, 16, 24, dtype=dtype).requires_grad_()
    theta = IDENTITY.to(dtype).repeat(2, 1, 1)
    theta[0, 1, 2] = value
    flow = torch.zeros(2, 2, 16, 24, dtype=dtype)
    flow[0, :, ::3] = value
    for warp, motion in ((affine_warp, theta), (flow_warp, flow)):
        motion.requires_grad_()
        warped = warp(image, motion)
        warped.sum().backward()
        assert warped.isfinite().all() and motion.grad.isfinite().all()
        torch.testing.assert_close(warped[1], image[1])


def test_autocast_does_not_coarsen_a_warp():
    image = random_image(1, 3, 64, 96, dtype=torch.float32)
    theta = IDENTITY[None] + 0.01 * random_image(1, 2, 3, dtype=torch.float32)
    flow = random_image(1, 2, 64, 96, dtype=torch.float32)
    expected = affine_warp(image, theta), flow_warp(image, flow)
    with torch.autocast("cpu", torch.bfloat16):
        found = affine_warp(image, theta), flow_warp(image, flow)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_a_bfloat16_feature_is_warped_finely_and_comes_back_as_bfloat16():
    feature = random_image(1, 3, 64, 96, dtype=torch.float32).bfloat16()
    flow = random_image(1, 2, 64, 96, dtype=torch.float32)
    warped = flow_warp(feature, flow)
    assert warped.dtype == torch.bfloat16
    assert torch.equal(warped, flow_warp(feature.float(), flow).bfloat16())


def test_area_downsampling_takes_the_mean_of_each_square():
    frames = random_image(2, 3, 3, 8, 12)
    means = frames.reshape(2, 3, 3, 2, 4, 3, 4).mean((4, 6))
    torch.testing.assert_close(area_downsample(frames, 4), means)
    torch.testing.assert_close(area_downsample(frames[:, 0], 4), means[:, 0])
