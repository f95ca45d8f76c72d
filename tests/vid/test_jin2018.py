"""Laws of `jin2018`: its layers, its wiring, its stages (section 1.7)."""

import pytest
import torch

from blurvid.jin2018 import FrameNet
from blurvid.model import ModelSpec, build_model, count_multiply_adds, count_parameters


def built(frames=7, width=2, seed=0):
    torch.manual_seed(seed)
    return build_model(ModelSpec("jin2018", frames, width))


def random_image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def awake(model, seed=1):
    """The model with last layers that are not zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "predict_image" in name:
                weight += 0.02 * torch.randn_like(weight)
    return model


# The layers of section 1.7 once more, in plain numbers: (inputs, outputs, kernel area).


def residual_layers(width):
    yield from ((width, width, 9), (width, width, 9), (width, width, 1))


def net_layers(images, depth, width):
    maps = depth * depth
    yield images * maps, width, 25
    for _ in range(12):
        yield from residual_layers(width)
    for _ in range(4):
        yield width, maps, 9


def tail_layers(joined):
    yield 3, joined, 9
    yield from residual_layers(joined)
    yield joined, 3, 9


def parameters(images, depth, width, joined):
    layers = [*net_layers(images, depth, width), *tail_layers(joined)]
    norms = 2 * width * (2 * 12 + 4) + 2 * joined * 2
    return sum(i * o * area + o for i, o, area in layers) + norms


def test_the_middle_net_has_the_published_4_97_million_parameters():
    expected = parameters(1, 4, 144, 64)
    assert round(expected / 1e6, 2) == 4.96
    assert count_parameters(built(width=32).middle) == expected


def test_the_other_nets_are_as_wide_as_the_facts_say():
    model = built(7, 32)
    pair, shared = parameters(2, 5, 128, 64), parameters(3, 5, 128, 64)
    assert [count_parameters(net) for net in model.nearest] == [pair, shared]
    assert [count_parameters(net) for net in model.farther] == [shared, shared]
    assert count_parameters(built(3, 32)) == parameters(1, 4, 144, 64) + pair + shared


def test_multiply_adds_are_those_of_each_net_as_often_as_it_runs():
    def of_net(images, depth, base):
        colours = 3 * (60 // depth) ** 2
        inner = sum(i * o * area for i, o, area in net_layers(images, depth, base // 4)) * colours
        return inner + sum(i * o * area for i, o, area in tail_layers(16)) * 60**2

    expected = of_net(1, 4, 144) + of_net(2, 5, 128) + 5 * of_net(3, 5, 128)
    assert count_multiply_adds(built(7, 8), (60, 60)) == expected


def test_every_frame_starts_as_the_blur():
    model, blur = built(), random_image(2, 3, 40, 60)
    with torch.no_grad():
        restored = model.restore(blur)
    torch.testing.assert_close(restored, blur[:, None].expand_as(restored))


def test_with_silent_fusing_blocks_the_maps_are_those_of_the_adjacent_image():
    torch.manual_seed(0)
    net = FrameNet(3, depth=5, base=128, width=2)
    with torch.no_grad():
        for fuse in net.colour.fuse:
            fuse[-1].weight.zero_()
        images = [random_image(2, 3, 20, 40, seed=k) for k in range(3)]
        seen = {}
        net.join.register_forward_hook(lambda layer, args, out: seen.update(maps=args[0]))
        net(*images)
    assert torch.equal(seen["maps"], images[-1])


def test_the_colours_go_through_the_same_weights():
    torch.manual_seed(0)
    net, image = FrameNet(1, depth=4, base=144, width=2), random_image(1, 3, 20, 20)
    seen = []
    net.join.register_forward_hook(lambda layer, args, out: seen.append(args[0]))
    with torch.no_grad():
        net(image)
        net(image[:, [2, 0, 1]])
    torch.testing.assert_close(seen[1], seen[0][:, [2, 0, 1]])
    assert not torch.allclose(seen[0], image)


def test_each_frame_is_made_of_the_blur_and_of_the_frames_nearer_to_the_middle():
    model, blur = awake(built()), random_image(1, 3, 20, 20)
    calls = []
    for number, net in enumerate((model.middle, *model.nearest, *model.farther)):
        net.register_forward_hook(lambda layer, args, out, k=number: calls.append((k, args, out)))
    with torch.no_grad():
        f1, f2, f3, f4, f5, f6, f7 = model.restore(blur)[0]
    expected = [
        (0, (blur,), f4),
        (1, (blur, f4), f3),
        (2, (blur, f3, f4), f5),
        (3, (blur, f4, f3), f2),
        (3, (blur, f4, f5), f6),
        (4, (blur, f3, f2), f1),
        (4, (blur, f5, f6), f7),
    ]
    for (net, seen, made), (number, inputs, frame) in zip(calls, expected, strict=True):
        assert net == number and torch.equal(made[0], frame)
        assert len(seen) == len(inputs)
        assert all(torch.equal(one[0], two.reshape(3, 20, 20)) for one, two in zip(seen, inputs))
    assert len({frame.sum().item() for frame in (f1, f2, f3, f4, f5, f6, f7)}) == 7


@pytest.mark.parametrize("frames", [3, 7])
def test_a_stage_gives_the_frames_up_to_its_own_and_lets_them_alone_learn(frames):
    model, blur = awake(built(frames)), random_image(2, 3, 40, 40)
    with torch.no_grad():
        whole = model.restore(blur)
    nets = [model.middle, model.nearest, *model.farther]
    assert model.stages == len(nets) == 1 + frames // 2
    for stage in range(model.stages):
        model.begin_stage(stage)
        outer = frames // 2 - stage
        (images,) = model(blur).images
        assert torch.equal(images, whole[:, outer : frames - outer])
        learning = [any(p.requires_grad for p in net.parameters()) for net in nets]
        assert learning == [number == stage for number in range(len(nets))]
        assert torch.equal(model.restore(blur), whole)


def test_a_stage_s_gradient_stays_within_its_own_nets():
    model = awake(built())
    model.begin_stage(2)
    model(random_image(1, 3, 40, 40)).images[0][:, [0, -1]].sum().backward()
    with_gradient = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == {"farther"} and model.farther[1].join.weight.grad is None


def test_sides_that_20_does_not_divide_are_padded_by_reflection_and_cut_back():
    model, blur = awake(built(3)), random_image(1, 3, 30, 50)
    below, right = (torch.arange(28, 18, -1), torch.arange(48, 38, -1))
    rows, columns = (torch.cat((torch.arange(n), more)) for n, more in ((30, below), (50, right)))
    padded = blur[:, :, rows][..., columns]
    with torch.no_grad():
        expected = model(padded).images[0][..., :30, :50]
        torch.testing.assert_close(model(blur).images[0], expected)
