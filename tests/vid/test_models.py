"""Laws of the paper's models beyond the full one: parts left out (Table 3), and `light` (5.4.1)."""

from itertools import combinations

import pytest
import torch
from torch import nn

from blurvid.decoder import FrameDecoder
from blurvid.losses import loss_of
from blurvid.model import (
    COMPONENTS,
    ModelSpec,
    build_model,
    count_multiply_adds,
    count_parameters,
)
from blurvid.transformers import Localisation, LocalWarping

from .layer_table import (
    all_layers,
    light_layers,
    multiply_adds,
    other_decoder_layers,
    parameters,
)

NAMES = ("full", "light", "jin2018", "recurrent")
SUBSETS = [parts for k in range(4) for parts in combinations(COMPONENTS, k)]


def built(name="full", frames=3, width=4, seed=0, **spec):
    torch.manual_seed(seed)
    return build_model(ModelSpec(name, frames, width, **spec))


def random_image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def moving(model):
    """The model with transformations that are far from the identity."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, Localisation):
                layer.linear.bias += 0.3 * torch.rand(6, generator=generator)
            if isinstance(layer, LocalWarping):
                layer.predict_flow.bias += 1 + torch.rand(2, generator=generator)
    return model


# --- parts that are left out -----------------------------------------------------------------


@pytest.mark.parametrize("without", SUBSETS)
def test_what_is_left_out_is_absent(without):
    model = built(without=without)
    assert count_parameters(model) == parameters(all_layers(3, 4, without=without))
    assert count_multiply_adds(model, (128, 128)) == multiply_adds(all_layers(3, 4, 128, without))
    with torch.no_grad():
        restoration = model(random_image(2, 3, 64, 96))
    scales = {part: 0 if part in without else 5 for part in COMPONENTS}
    assert restoration.feature_thetas.shape == (2, 2, scales["ftn"], 2, 3)
    assert restoration.image_thetas.shape == (2, 2, scales["itn"], 2, 3)
    assert restoration.images[-1].shape == (2, 3, 3, 64, 96)
    warps = [layer for layer in model.modules() if isinstance(layer, LocalWarping)]
    assert len(warps) == 2 * scales["lw"]


@pytest.mark.parametrize("without", SUBSETS)
@pytest.mark.parametrize("name", ["full", "light"])
def test_every_part_that_is_there_changes_the_other_frames_alone(name, without):
    model, blur = built(name, width=1, without=without), random_image(1, 3, 32, 32)
    with torch.no_grad():
        still = model(blur).images[-1]
        moved = moving(model)(blur).images[-1]
    change = (moved - still).abs().amax((0, 2, 3, 4))
    assert not change[1]
    assert bool(change[0] and change[2]) == (set(without) != set(COMPONENTS))


def test_the_paper_s_smallest_and_largest_models_differ_by_what_was_left_out():
    whole, bare = ModelSpec("full", 3, 32), ModelSpec("full", 3, 32, without=("itn", "lw"))
    assert count_parameters(build_model(whole)) > count_parameters(build_model(bare))
    assert ModelSpec("full", without=("lw", "itn", "lw")).without == ("itn", "lw")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "light", "without": ("decoder",)},
        {"name": "jin2018", "without": ("lw",)},
        {"name": "recurrent", "without": ("ftn",)},
        {"name": "jin2018", "residual": False},
        {"name": "deep"},
        {"without": "lw"},
    ],
)
def test_a_part_that_a_model_does_not_have_cannot_be_left_out(fields):
    with pytest.raises(ValueError, match="expected .* found"):
        ModelSpec(**fields)


def test_a_spec_of_before_parts_could_be_left_out_is_that_of_a_whole_model():
    stored = {"name": "full", "frames": 3, "width": 8, "residual": True}
    assert ModelSpec.from_dict(stored) == ModelSpec("full", 3, 8)


# --- light -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frames, width", [(3, 32), (7, 8), (3, 1)])
def test_the_light_model_has_one_decoder_and_half_of_the_transformers(frames, width):
    model = built("light", frames, width)
    assert count_parameters(model) == parameters(light_layers(frames, width))
    assert sum(isinstance(m, FrameDecoder) for m in model.modules()) == 2


def test_the_light_model_computes_each_frame_all_the_same():
    again = multiply_adds(other_decoder_layers(4, 128))
    expected = multiply_adds(light_layers(7, 4, 128)) + 5 * again
    assert count_multiply_adds(built("light", 7), (128, 128)) == expected


def whole(theta):
    """(..., 2, 3) -> (..., 3, 3)."""
    below = torch.tensor([0.0, 0.0, 1.0], dtype=theta.dtype).expand(*theta.shape[:-2], 1, 3)
    return torch.cat((theta, below), -2)


@pytest.mark.parametrize("frames", [3, 7])
def test_in_the_light_model_the_theta_of_frame_n_plus_1_minus_i_is_the_inverse_of_that_of_i(frames):
    model = moving(built("light", frames)).double()
    with torch.no_grad():
        restoration = model(random_image(2, 3, 32, 64).double())
    for thetas in (restoration.feature_thetas, restoration.image_thetas):
        products = whole(thetas) @ whole(thetas.flip(1))
        identity = torch.eye(3, dtype=torch.float64).expand_as(products)
        torch.testing.assert_close(products, identity, atol=1e-12, rtol=0)
        assert (thetas - torch.eye(2, 3)).abs().amax((-1, -2)).min() > 0.01


def test_in_the_light_model_flows_after_the_middle_are_the_negatives_of_those_before():
    model = moving(built("light", 7))
    with torch.no_grad():
        motions = model.motions(model.encoder(random_image(1, 3, 64, 64)))
    assert len(motions) == 6
    for motion, mirrored in zip(motions, reversed(motions)):
        for flow, other in zip(motion.flows, mirrored.flows):
            assert torch.equal(flow, -other) and flow.any()


def test_a_light_pair_changes_its_two_frames_and_no_others():
    model, blur = built("light", 7), random_image(1, 3, 64, 64)
    with torch.no_grad():
        before = model(blur).images[-1]
        model.before[1].image_transformer.localise[4].linear.bias[2] += 0.5
        change = (model(blur).images[-1] - before).abs().amax((0, 2, 3, 4))
    assert change.nonzero().flatten().tolist() == [1, 5]


# --- all models ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [3, 7])
def test_every_model_restores_any_size(name, frames):
    model = built(name, frames, width=1)
    with torch.no_grad():
        for size in ((75, 53), (5, 3), (1, 1)):
            restored = model.restore(random_image(2, 3, *size))
            assert restored.shape == (2, frames, 3, *size) and restored.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_restored_as_if_it_were_alone(name):
    model, blur = built(name, 7, width=1), random_image(3, 3, 32, 32)
    with torch.no_grad():
        together = model.restore(blur)
        torch.testing.assert_close(together[1:2], model.restore(blur[1:2]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_of_every_model_are_finite_and_reach_every_weight_of_the_stage(name, autocast):
    model = built(name, 7, width=1)
    loss = loss_of(name, photometric="sum", order="given", without=())
    for stage in range(model.stages):
        model.begin_stage(stage)
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            restoration = model(random_image(2, 3, 32, 32))
        terms = loss(restoration, random_image(2, 7, 3, 32, 32, seed=1))
        terms.total.sum().backward()
        assert terms.total.dtype == torch.float32
        for parameter in model.parameters():
            assert (parameter.grad is not None) == parameter.requires_grad
            assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_spec_of_every_model_comes_back_from_its_dict(name):
    without = ("lw",) if name in ("full", "light") else ()
    spec = ModelSpec(name, 7, 8, without=without)
    assert ModelSpec.from_dict(spec.to_dict()) == spec


def test_no_weight_is_shared_under_two_names():
    for name in NAMES:
        weights = list(built(name, 7).state_dict().values())
        assert len({w.data_ptr() for w in weights}) == len(weights)


def test_normalisation_is_in_jin2018_alone():
    for name in NAMES:
        norms = [m for m in built(name).modules() if isinstance(m, nn.InstanceNorm2d)]
        assert bool(norms) == (name == "jin2018")
