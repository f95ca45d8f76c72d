"""Laws of `recurrent`: its layers, its flows, its frames (section 1.7)."""

import pytest
import torch

from blurvid.losses import recurrent_loss
from blurvid.model import ModelSpec, build_model, count_parameters
from blurvid.recurrent import ConvLSTM, doubled_flow
from blurvid.warp import flow_warp

from .layer_table import middle_layers, parameters, scaled


def built(frames=3, width=4, seed=0):
    torch.manual_seed(seed)
    return build_model(ModelSpec("recurrent", frames, width))


def random_image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def motion_layers(width):
    """(inputs, outputs, kernel area, -) once more."""
    inputs = 6
    for base in (64, 64, 64, 128, 128, 128, 128):
        yield inputs, scaled(base, width), 25, 0
        inputs = scaled(base, width)
    yield inputs, 4 * inputs, 9, 0
    feature = None
    for base in (128, 64, 64, 32):
        here = scaled(base, width)
        if feature is None:
            yield inputs, here, 9, 0
        else:
            yield feature, here, 16, 0
            yield here + 4, here, 9, 0
        yield here, 4, 9, 0
        feature = here


@pytest.mark.parametrize("frames, width", [(3, 32), (7, 32), (3, 4)])
def test_its_parameters_do_not_grow_with_the_frames(frames, width):
    expected = parameters(middle_layers(width, 64)) + parameters(motion_layers(width))
    assert count_parameters(built(frames, width)) == expected


@pytest.mark.parametrize("frames", [3, 7])
def test_flows_come_at_four_scales_in_time_order(frames):
    restoration = built(frames)(random_image(2, 3, 64, 96))
    shapes = [tuple(flow.shape) for flow in restoration.flows]
    sizes = [(8, 12), (16, 24), (32, 48), (64, 96)]
    assert shapes == [(2, frames - 1, 2, *size) for size in sizes]
    (images,) = restoration.images
    assert images.shape == (2, frames, 3, 64, 96)


def test_each_other_frame_is_the_middle_one_moved_by_its_flow():
    model = built(7)
    with torch.no_grad():
        for layer in model.flow_decoder.predict_flow:
            layer.bias += torch.tensor([0.5, -0.25, -0.75, 0.25])
        restoration = model(random_image(1, 3, 64, 64))
    frames, flows = restoration.images[0], restoration.flows[-1]
    for k, frame in enumerate([0, 1, 2, 4, 5, 6]):
        torch.testing.assert_close(frames[:, frame], flow_warp(frames[:, 3], flows[:, k]))
    assert (flows[:, :3, 0].mean((0, 2, 3)) > 1).all()  # the first two channels: before the middle
    assert (flows[:, 3:, 0].mean((0, 2, 3)) < -1).all()


def test_the_pairs_are_unrolled_from_the_middle_outwards():
    """The flows of the innermost pair are those of a model of three frames."""
    blur = random_image(1, 3, 64, 64)
    with torch.no_grad():
        three, seven = (built(frames)(blur).flows[-1] for frames in (3, 7))
    assert torch.equal(seven[:, 2:4], three)
    assert not torch.allclose(seven[:, 0], seven[:, 2])


def test_a_flow_of_the_next_scale_is_twice_as_long():
    flow = torch.full((1, 4, 5, 7), 1.5)
    assert torch.equal(doubled_flow(flow), torch.full((1, 4, 10, 14), 3.0))


def test_the_recurrence_is_that_of_an_lstm():
    torch.manual_seed(0)
    cell_of = ConvLSTM(3)
    hidden, cell = (torch.randn(2, 3, 4, 5) for _ in range(2))
    forget, write, show, new = cell_of.gates(hidden).unflatten(1, (4, 3)).unbind(1)
    expected = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(new)
    found = cell_of(hidden, cell)
    torch.testing.assert_close(found[1], expected)
    torch.testing.assert_close(found[0], torch.sigmoid(show) * torch.tanh(expected))


def test_the_two_frames_of_a_pair_part_as_it_learns():
    """Under a loss that is blind to their order, flows that start equal would stay so."""
    model = built(3, width=4)
    scene = torch.nn.functional.interpolate(
        random_image(2, 3, 8, 8), size=(64, 96), mode="bicubic"
    )
    frames = torch.stack([scene[..., :32, 16 + s : 48 + s] for s in (-8, 0, 8)], 1)
    blur, optimizer = frames.mean(1), torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        recurrent_loss(model(blur), frames).total.mean().backward()
        optimizer.step()
    with torch.no_grad():
        flows = model(blur).flows[-1].mean((0, 3, 4))
    assert (flows[0, 0] - flows[1, 0]).abs() > 0.5
