"""Laws of the network: its layer table, its start, its sizes, its gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from blurvid.blocks import RefiningBlock, bare_conv
from blurvid.losses import photometric_loss, restoration_loss
from blurvid.model import (
    ModelSpec,
    build_model,
    count_multiply_adds,
    count_parameters,
)
from blurvid.restoration import pad_to_multiple
from blurvid.transformers import (
    FeatureTransformer,
    ImageTransformer,
    Motion,
    transformed_features,
    transformed_images,
)
from blurvid.warp import area_downsample

from .layer_table import FACTORS, all_layers


def small_model(frames=3, width=4, residual=True, seed=0):
    torch.manual_seed(seed)
    return build_model(ModelSpec(frames=frames, width=width, residual=residual))


def random_image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def moving_scene(batch, size, seed):
    """A smooth scene under a camera that moves by 8 pixels: blur and three frames."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch, 3, 12, 12, generator=generator)
    scene = F.interpolate(noise, size=size + 16, mode="bicubic").clamp(0, 1)
    path = [scene[..., 8 : 8 + size, 4 + k : 4 + k + size] for k in range(9)]
    return torch.stack(path, 1).mean(1), torch.stack(path[::4], 1)


@pytest.mark.parametrize("frames, width", [(3, 32), (3, 8), (7, 8), (3, 1)])
def test_the_number_of_parameters_is_that_of_the_layer_table(frames, width):
    expected = sum(i * o * area + o for i, o, area, _ in all_layers(frames, width))
    assert count_parameters(build_model(ModelSpec(frames=frames, width=width))) == expected


def test_the_full_model_of_three_frames_has_53_million_parameters():
    assert sum(i * o * area + o for i, o, area, _ in all_layers(3, 32)) == 53_379_654


@pytest.mark.parametrize("frames, width", [(3, 8), (7, 4)])
def test_the_multiply_adds_are_those_of_the_layer_table(frames, width):
    expected = sum(i * o * area * at for i, o, area, at in all_layers(frames, width))
    assert count_multiply_adds(small_model(frames, width), (256, 256)) == expected


def test_multiply_adds_count_the_padding():
    model = small_model()
    assert count_multiply_adds(model, (33, 64)) == count_multiply_adds(model, (64, 64))


@pytest.mark.parametrize("frames", [3, 7])
def test_frames_and_thetas_come_at_five_scales(frames):
    with torch.no_grad():
        restoration = small_model(frames)(random_image(2, 3, 32, 64))
    sizes = [(2, 4), (4, 8), (8, 16), (16, 32), (32, 64)]
    assert [tuple(i.shape) for i in restoration.images] == [(2, frames, 3, *s) for s in sizes]
    assert restoration.feature_thetas.shape == (2, frames - 1, 5, 2, 3)
    assert restoration.image_thetas.shape == (2, frames - 1, 5, 2, 3)


def test_channels_double_from_scale_to_scale():
    features = small_model(width=32).encoder(random_image(1, 3, 32, 32))
    assert [f.shape[1] for f in features] == [512, 256, 128, 64, 32]
    assert [f.shape[2] for f in features] == [1, 2, 4, 8, 16]


# The start.


def test_every_transformer_starts_as_the_identity():
    torch.manual_seed(0)
    features = [random_image(2, 8, side, 2 * side) for side in (1, 2, 4, 8)]
    images = [random_image(2, 3, 2 * side, 4 * side) for side in (1, 2, 4, 8)]
    identity = torch.eye(2, 3).expand(2, 4, 2, 3)
    thetas, flows = FeatureTransformer([8] * 4, 32)(features)
    motion = Motion(thetas, flows, ImageTransformer([8] * 4, 32)(features))
    assert torch.equal(motion.feature_thetas, identity)
    assert torch.equal(motion.image_thetas, identity)
    for (by_stn, by_lw), feature in zip(transformed_features(features, motion), features):
        torch.testing.assert_close(by_stn, feature)
        torch.testing.assert_close(by_lw, feature)
    for (by_stn,), image in zip(transformed_images(images, motion), images):
        torch.testing.assert_close(by_stn, image)


def test_he_initialisation_keeps_the_size_of_a_signal_through_the_encoder():
    features = small_model(width=32).encoder(torch.randn(2, 3, 128, 128))
    for feature in features:
        assert 0.5 < feature.square().mean().sqrt() < 2


def silence_predictions(model):
    for name, layer in model.named_modules():
        if name.endswith(("predict_image", "refine.convs.6")):
            nn.init.zeros_(layer.weight)


@pytest.mark.parametrize("residual", [True, False])
def test_the_blur_is_what_a_residual_model_adds_to(residual):
    model, blur = small_model(residual=residual), random_image(1, 3, 32, 64)
    silence_predictions(model)
    with torch.no_grad():
        images = model(blur).images
    for image, factor in zip(images, FACTORS):
        expected = residual * area_downsample(blur, factor)
        torch.testing.assert_close(image, expected[:, None].expand_as(image))


# The wiring.


@pytest.mark.parametrize("frames, other, frame", [(3, 0, 0), (3, 1, 2), (7, 2, 2), (7, 3, 4)])
def test_each_frame_has_a_decoder_of_its_own_in_time_order(frames, other, frame):
    model, blur = small_model(frames), random_image(1, 3, 32, 32)
    with torch.no_grad():
        before = model(blur).images[-1]
        model.others[other].decoder.refine.convs[-1].bias += 1
        change = (model(blur).images[-1] - before).abs().amax((0, 2, 3, 4))
    assert change[frame] > 0.9
    assert change.count_nonzero() == 1


def test_the_thetas_are_those_of_the_frames_in_time_order():
    model = small_model()
    with torch.no_grad():
        model.others[1].feature_transformer.localise[3].linear.bias[2] = 0.5
        model.others[0].image_transformer.localise[4].linear.bias[5] = 0.25
        restoration = model(random_image(1, 3, 32, 32))
    identity = torch.eye(2, 3).expand(1, 2, 5, 2, 3)
    moved = (restoration.feature_thetas - identity).nonzero().tolist()
    assert moved == [[0, 1, 3, 0, 2]]
    moved = (restoration.image_thetas - identity).nonzero().tolist()
    assert moved == [[0, 0, 4, 1, 2]]


def test_other_frames_see_the_middle_one_before_refining():
    model, blur = small_model(), random_image(1, 3, 32, 32)
    with torch.no_grad():
        before = model(blur).images[-1]
        model.middle.refine.convs[-1].bias += 1
        after = model(blur).images[-1]
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]])
    assert not torch.equal(after[:, 1], before[:, 1])


def test_other_frames_teach_the_middle_decoder_at_every_scale():
    model = small_model()
    model(random_image(1, 3, 32, 32)).images[-1][:, 0].sum().backward()
    for block in model.middle.blocks:
        assert block.predict_image.weight.grad.any()
    assert not model.middle.refine.convs[-1].weight.grad.any()


def test_the_refining_block_sees_33_pixels_to_every_side():
    torch.manual_seed(0)
    block = RefiningBlock(4, 8).double()
    feature = torch.zeros(1, 4, 1, 81, dtype=torch.float64, requires_grad=True)
    block(feature, torch.zeros(1, 3, 1, 81, dtype=torch.float64))[0, :, 0, 40].sum().backward()
    seen = feature.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (40 - 33, 40 + 33)
    assert [c[0].dilation[0] for c in block.convs[:-1]] == [1, 2, 4, 8, 16, 1]


# Sizes.


@pytest.mark.parametrize("shape", [(1, 3, 48, 64), (1, 3, 64, 48), (3, 32, 32), (1, 1, 32, 32)])
def test_forward_refuses_what_is_no_image_in_multiples_of_32(shape):
    with pytest.raises(ValueError, match=r"expected a blur of \(B, 3, H, W\) .* found \("):
        small_model()(torch.zeros(shape))


@pytest.mark.parametrize("size", [(75, 133), (5, 3), (1, 1), (32, 64)])
def test_restoring_keeps_any_size(size):
    with torch.no_grad():
        frames = small_model().restore(random_image(2, 3, *size))
    assert frames.shape == (2, 3, 3, *size)
    assert frames.isfinite().all()


def test_restoring_an_image_that_fits_is_the_forward_pass():
    model, blur = small_model(), random_image(1, 3, 32, 64)
    with torch.no_grad():
        assert torch.equal(model.restore(blur), model(blur).images[-1])


@pytest.mark.parametrize("size", [(32, 64), (75, 133), (17, 16), (5, 3), (1, 2)])
def test_padding_reflects_to_and_fro_as_numpy_does(size):
    frames = (255 * random_image(2, 3, 3, *size)).to(torch.uint8)
    below, right = (-side % 32 for side in size)
    widths = [(0, 0)] * 3 + [(0, below), (0, right)]
    expected = np.pad(frames.numpy(), widths, mode="reflect")
    np.testing.assert_array_equal(pad_to_multiple(frames).numpy(), expected)


# Training.


def loss_of(model, blur, frames):
    return restoration_loss(model(blur), frames).total.mean()


def test_gradients_reach_every_parameter_at_the_first_step():
    model = small_model()
    loss_of(model, random_image(2, 3, 64, 64), random_image(2, 3, 3, 64, 64, seed=1)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_after_one_step_every_parameter_learns():
    """At 128 px: on a map of 2x2 every pixel lies on the border, where a warp has no slope."""
    model, (blur, frames) = small_model(), moving_scene(1, 128, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        loss_of(model, blur, frames).backward()
        optimizer.step()
    still = [name for name, p in model.named_parameters() if not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("size", [32, 64])
def test_bfloat16_autocast_gives_a_finite_step_and_float32_images(size):
    model = small_model(width=1)
    with torch.autocast("cpu", torch.bfloat16):
        restoration = model(random_image(2, 3, size, size))
    assert {image.dtype for image in restoration.images} == {torch.float32}
    assert restoration.feature_thetas.dtype == restoration.image_thetas.dtype == torch.float32
    terms = restoration_loss(restoration, random_image(2, 3, 3, size, size, seed=1))
    terms.total.mean().backward()
    assert terms.total.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_diverged_theta_shows_in_the_thetas_and_crashes_nothing():
    model = small_model()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.bias.fill_(float("nan"))
        restoration = model(random_image(1, 3, 32, 32))
    assert restoration.feature_thetas.isnan().all() and restoration.image_thetas.isnan().all()
    assert restoration.images[-1].isfinite().all()


def test_one_batch_is_learnt_by_heart():
    model, (blur, frames) = small_model(width=4), moving_scene(1, 32, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3, fused=True)
    losses = []
    for _ in range(140):
        terms = restoration_loss(model(blur), frames)
        losses.append(terms.photometric.mean().item())
        optimizer.zero_grad()
        terms.total.mean().backward()
        optimizer.step()
    blurred = [area_downsample(blur, f)[:, None].expand(-1, 3, -1, -1, -1) for f in FACTORS]
    assert losses[-1] < losses[0] / 10
    assert losses[-1] < photometric_loss(blurred, frames).mean() / 2


# The spec.


def test_a_spec_comes_back_from_its_dict():
    spec = ModelSpec(frames=7, width=8, residual=False)
    assert spec.to_dict() == {
        **{"name": "full", "frames": 7, "width": 8, "residual": False, "without": []}
    }
    assert ModelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("field", [{"frames": 5}, {"width": 0}, {"width": "8"}, {"residual": 1}])
def test_a_spec_that_cannot_be_built_is_refused_at_birth(field):
    with pytest.raises(ValueError, match="expected .* found"):
        ModelSpec(**field)


@pytest.mark.parametrize(
    "stored", [{"name": "other"}, {"depth": 3}, {"frames": 5}, {"width": None}, None, []]
)
def test_a_stored_spec_of_another_kind_is_refused(stored):
    if isinstance(stored, dict):
        stored = ModelSpec().to_dict() | stored
    with pytest.raises(ValueError, match="expected .* found"):
        ModelSpec.from_dict(stored)
    with pytest.raises(ValueError, match="expected a model spec of frames, name, "):
        ModelSpec.from_dict({"name": "full"})


@pytest.mark.parametrize("dilation", [1, 2, 4, 8, 16])
def test_bfloat16_gradients_of_convolutions_are_those_of_float32(dilation):
    """On a CPU with its own bfloat16 the library's dilated ones in channels_last are not."""
    for in_channels, out_channels in ((24, 3), (24, 24), (35, 32), (32, 32), (8, 16)):
        layer = bare_conv(in_channels, out_channels, dilation=dilation)
        weights = []
        for precision in (False, True):
            torch.manual_seed(0)
            x = torch.randn(8, in_channels, 32, 32).contiguous(memory_format=torch.channels_last)
            layer.to(memory_format=torch.channels_last).zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision):
                y = layer(x)
            (y.float() * torch.linspace(-1, 1, y[0].numel()).view_as(y[0])).sum().backward()
            weights.append(layer.weight.grad.clone())
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert torch.dist(*weights) < 0.02 * weights[0].norm()
