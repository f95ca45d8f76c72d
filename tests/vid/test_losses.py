"""Laws of the loss (equations 3 and 4)."""

import numpy as np
import pytest
import torch

from blurvid.losses import (
    consistency_loss,
    loss_of,
    pair_loss,
    penalty_loss,
    photometric_loss,
    recurrent_loss,
    restoration_loss,
    stage_loss,
    terms_of,
    total_variation,
)
from blurvid.restoration import Restoration

FACTORS = (16, 8, 4, 2, 1)
SIZE_HW = (32, 64)


def random_tensor(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_frames(frames, batch=2, seed=0):
    return random_tensor(batch, frames, 3, *SIZE_HW, seed=seed)


def means(frames, factor):
    """Area downsampling by plain reshaping."""
    *lead, height, width = frames.shape
    grouped = frames.reshape(*lead, height // factor, factor, width // factor, factor)
    return grouped.mean((-3, -1))


def at_scales(frames):
    return tuple(means(frames, factor) for factor in FACTORS)


def random_thetas(frames, batch=2, seed=0):
    return random_tensor(batch, frames - 1, 5, 2, 3, seed=seed)


def random_restoration(frames, batch=2, seed=5):
    images = at_scales(2 * random_frames(frames, batch, seed) - 0.5)
    return Restoration(images, random_thetas(frames, batch, 6), random_thetas(frames, batch, 7))


def reversed_in_time(restoration):
    return Restoration(
        tuple(image.flip(1) for image in restoration.images),
        restoration.feature_thetas.flip(1),
        restoration.image_thetas.flip(1),
    )


def loss_slowly(restoration, frames):
    """L_mp, L_tc, L_p of one sample by loops over equation 3."""
    count = len(frames)
    photometric = consistency = penalty = 0.0
    for i in range(count):
        for predicted, factor in zip(restoration.images, FACTORS):
            target = means(frames[i], factor)
            photometric += np.abs(predicted[0, i].numpy() - target.numpy()).sum()
        if i != count // 2:
            full = restoration.images[-1][0, i].numpy()
            penalty -= np.abs(full - frames[count - 1 - i].numpy()).sum()
    for chain in (restoration.feature_thetas[0].numpy(), restoration.image_thetas[0].numpy()):
        for thetas in chain:
            for coarse, fine in zip(thetas[:-1], thetas[1:]):
                consistency += np.sqrt(((fine - coarse) ** 2).sum())
    return photometric, consistency, penalty


@pytest.mark.parametrize("count", [3, 7])
def test_the_loss_is_what_slow_loops_over_equation_3_find(count):
    restoration, frames = random_restoration(count, batch=1), random_frames(count, batch=1)
    terms = restoration_loss(restoration, frames)
    photometric, consistency, penalty = loss_slowly(restoration, frames[0])
    total = photometric + 1000 * consistency + 0.5 * penalty
    found = [terms.total, terms.photometric, terms.consistency, terms.penalty]
    expected = [total, photometric, consistency, penalty]
    np.testing.assert_allclose([term.item() for term in found], expected, rtol=1e-12)
    assert not terms.reversed.any()


def test_each_sample_has_the_loss_that_it_has_alone():
    restoration, frames = random_restoration(3), random_frames(3)
    together = restoration_loss(restoration, frames, order="invariant")
    for k in range(2):
        images = tuple(image[k : k + 1] for image in restoration.images)
        chains = restoration.feature_thetas[k : k + 1], restoration.image_thetas[k : k + 1]
        alone = restoration_loss(Restoration(images, *chains), frames[k : k + 1], order="invariant")
        for term, term_alone in zip(together, alone):
            torch.testing.assert_close(term[k : k + 1], term_alone)


def test_perfect_images_have_no_photometric_loss():
    frames = random_frames(7)
    torch.testing.assert_close(
        photometric_loss(at_scales(frames), frames), torch.zeros(2, dtype=torch.float64)
    )


def test_mean_is_the_sum_divided_by_the_full_scale_pixels():
    restoration, frames = random_restoration(3), random_frames(3)
    by_sum = restoration_loss(restoration, frames)
    by_mean = restoration_loss(restoration, frames, photometric="mean")
    pixels = SIZE_HW[0] * SIZE_HW[1]
    for term in ("total", "photometric", "penalty"):
        torch.testing.assert_close(getattr(by_mean, term) * pixels, getattr(by_sum, term))
    torch.testing.assert_close(by_mean.consistency, by_sum.consistency)


@pytest.mark.parametrize("count", [3, 7])
def test_the_image_loss_stays_above_minus_half_the_distance_to_the_mirror(count):
    frames = random_frames(count, batch=4)
    mirrored = frames.flip(1)
    bound = -0.5 * (frames - mirrored).abs().flatten(1).sum(1)
    away = [frames + scale * (frames - mirrored) for scale in (-100, -1, 0, 0.1, 1, 10, 1000)]
    noise = [frames + scale * (random_frames(count, 4, seed=8) - 0.5) for scale in (0.1, 1, 100)]
    for full in away + noise:
        loss = photometric_loss(at_scales(full), frames) + 0.5 * penalty_loss(full, frames)
        assert (loss >= bound - 1e-6 * bound.abs()).all()


def test_the_penalty_vanishes_on_the_mirror_and_is_strongest_against_it():
    frames = random_frames(7)
    mirrored = frames.flip(1)
    assert torch.equal(penalty_loss(mirrored, frames), torch.zeros(2, dtype=torch.float64))
    apart = (frames - mirrored).abs().flatten(1).sum(1)
    torch.testing.assert_close(penalty_loss(frames, frames), -apart)


@pytest.mark.parametrize("count", [3, 7])
def test_the_penalty_does_not_see_the_middle_frame(count):
    frames, full = random_frames(count), random_frames(count, seed=1)
    changed_prediction, changed_target = full.clone(), frames.clone()
    changed_prediction[:, count // 2] += 1
    changed_target[:, count // 2] += 1
    penalty = penalty_loss(full, frames)
    assert torch.equal(penalty_loss(changed_prediction, frames), penalty)
    assert torch.equal(penalty_loss(full, changed_target), penalty)


def test_the_penalty_is_the_same_when_prediction_and_truth_are_both_reversed():
    frames, full = random_frames(7), random_frames(7, seed=1)
    penalty = penalty_loss(full.flip(1), frames.flip(1))
    torch.testing.assert_close(penalty, penalty_loss(full, frames))
    assert not torch.allclose(penalty_loss(full, frames.flip(1)), penalty)


def test_the_invariant_loss_does_not_know_the_direction_of_the_truth():
    restoration, frames = random_restoration(3), random_frames(3)
    forward = restoration_loss(restoration, frames, order="invariant")
    backward = restoration_loss(restoration, frames.flip(1), order="invariant")
    torch.testing.assert_close(forward.total, backward.total)
    assert torch.equal(forward.reversed, ~backward.reversed)
    given = restoration_loss(restoration, frames), restoration_loss(restoration, frames.flip(1))
    assert not torch.allclose(given[0].total, given[1].total)


def test_the_loss_is_the_same_when_everything_is_reversed():
    restoration, frames = random_restoration(7), random_frames(7)
    backward = restoration_loss(reversed_in_time(restoration), frames.flip(1))
    torch.testing.assert_close(backward.total, restoration_loss(restoration, frames).total)


def test_the_invariant_loss_turns_each_sample_as_a_whole_and_alone():
    frames = random_frames(7)
    turned = torch.stack((frames[0], frames[1].flip(0)))
    chains = random_thetas(7), random_thetas(7)
    perfect = Restoration(at_scales(frames), *chains)
    terms = restoration_loss(perfect, turned, order="invariant")
    assert terms.reversed.tolist() == [False, True]
    torch.testing.assert_close(terms.total, restoration_loss(perfect, frames).total)


def test_the_invariant_gradient_is_that_of_the_direction_it_took():
    frames = random_frames(3)
    full = (frames + 0.1 * random_frames(3, seed=1)).requires_grad_()
    restoration = Restoration(at_scales(full), random_thetas(3), random_thetas(3))
    given = restoration_loss(restoration, frames).total.sum()
    (expected,) = torch.autograd.grad(given, full, retain_graph=True)
    found = restoration_loss(restoration, frames.flip(1), order="invariant").total.sum()
    torch.testing.assert_close(torch.autograd.grad(found, full)[0], expected)


def test_the_consistency_gradient_is_zero_where_all_scales_agree():
    feature_thetas, image_thetas = (
        torch.eye(2, 3).expand(2, 2, 5, 2, 3).clone().requires_grad_() for _ in range(2)
    )
    loss = consistency_loss(feature_thetas, image_thetas)
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros(2))
    assert torch.equal(feature_thetas.grad, torch.zeros(2, 2, 5, 2, 3))
    assert torch.equal(image_thetas.grad, torch.zeros(2, 2, 5, 2, 3))


def test_the_consistency_is_the_distance_and_not_its_square():
    thetas = random_thetas(3)
    still = torch.zeros_like(thetas)
    torch.testing.assert_close(
        consistency_loss(10 * thetas, still), 10 * consistency_loss(thetas, still)
    )


def test_the_two_chains_are_consistent_each_for_itself():
    still = torch.zeros(2, 2, 5, 2, 3)
    assert torch.equal(consistency_loss(still, still + 7), torch.zeros(2))


def test_the_loss_refuses_another_number_of_frames():
    with pytest.raises(ValueError, match=r"expected frames of \(2, 3, .*found \(2, 7"):
        restoration_loss(random_restoration(3), random_frames(7))


@pytest.mark.parametrize(
    "option, sentence",
    [
        ({"photometric": "median"}, "expected photometric to be sum or mean, found 'median'"),
        ({"order": "random"}, "expected order to be given or invariant, found 'random'"),
    ],
)
def test_the_loss_refuses_an_unknown_option(option, sentence):
    with pytest.raises(ValueError, match=sentence):
        restoration_loss(random_restoration(3), random_frames(3), **option)


# --- Table 3: terms that are left out --------------------------------------------------------


@pytest.mark.parametrize("without", [(), ("tcl",), ("pt",), ("pt", "tcl"), ("pml",)])
@pytest.mark.parametrize("order", ["given", "invariant"])
def test_a_term_that_is_left_out_is_absent_from_the_total(without, order):
    restoration, frames = random_restoration(3), random_frames(3)
    frames[1] = frames[1].flip(0)
    terms = restoration_loss(restoration, frames, without=without, order=order)
    scales = restoration.images[-1:] if "pml" in without else restoration.images
    turned = [f.flip(0) if r else f for f, r in zip(frames, terms.reversed, strict=True)]
    photometric = photometric_loss(scales, torch.stack(turned))
    torch.testing.assert_close(terms.photometric, photometric)
    assert bool(terms.consistency.any()) == ("tcl" not in without)
    assert bool(terms.penalty.any()) == ("pt" not in without)
    total = terms.photometric + 1000 * terms.consistency + 0.5 * terms.penalty
    torch.testing.assert_close(terms.total, total)


def test_the_invariant_direction_is_chosen_by_the_terms_that_are_there():
    """Far overshooting, the penalty alone decides for the other direction."""
    frames = random_frames(3, batch=1)
    full = frames + 0.55 * (frames - frames.flip(1)) - 0.35
    still = random_thetas(3, batch=1)
    for without in ((), ("pt",), ("pml",), ("pml", "pt")):
        restoration = Restoration(at_scales(full), still, still)
        found = restoration_loss(restoration, frames, order="invariant", without=without)
        both = [
            restoration_loss(restoration, f, without=(*without, "tcl")).total
            for f in (frames, frames.flip(1))
        ]
        assert found.reversed.item() == bool(both[1] < both[0])


def test_without_multiple_scales_the_loss_stays_bounded_below():
    frames = random_frames(7, batch=4)
    mirrored = frames.flip(1)
    bound = -0.5 * (frames - mirrored).abs().flatten(1).sum(1)
    still = random_thetas(7, batch=4)
    for scale in (-100, 0, 0.1, 10, 1000):
        full = frames + scale * (frames - mirrored)
        restoration = Restoration(at_scales(full), still, still)
        total = restoration_loss(restoration, frames, without=("pml", "tcl")).total
        assert (total >= bound - 1e-6 * bound.abs()).all()


# --- losses that are blind to the order of time ----------------------------------------------


def pair_loss_slowly(predicted, frames):
    """Of one sample, by a loop over its pairs."""
    total = 0.0
    for i in range(len(frames) // 2):
        j = len(frames) - 1 - i
        (p, q), (x, y) = ((a[i].numpy(), a[j].numpy()) for a in (predicted, frames))
        total += np.abs(np.abs(p + q) - np.abs(x + y)).sum()
        total += np.abs(np.abs(p - q) - np.abs(x - y)).sum()
    return total


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_pair_loss_is_what_a_loop_over_the_pairs_finds(count):
    predicted, frames = 2 * random_frames(count, seed=1) - 0.5, random_frames(count)
    expected = [pair_loss_slowly(p, x) for p, x in zip(predicted, frames)]
    np.testing.assert_allclose(pair_loss(predicted, frames).numpy(), expected, rtol=1e-12)


def test_the_pair_loss_is_blind_to_the_order_of_each_pair_and_to_nothing_else():
    frames = random_frames(7)
    swapped = frames.clone()
    swapped[:, [1, 5]] = swapped[:, [5, 1]]
    zero = torch.zeros(2, dtype=torch.float64)
    for answer in (frames, frames.flip(1), swapped):
        torch.testing.assert_close(pair_loss(answer, frames), zero)
    shuffled = frames[:, [1, 0, 2, 3, 4, 5, 6]]
    assert (pair_loss(shuffled, frames) > 1).all()


def stage(frames):
    """A restoration of these frames alone."""
    none = torch.zeros(len(frames), frames.shape[1] - 1, 0, 2, 3)
    return Restoration((frames,), none, none)


def test_a_stage_learns_its_outermost_pair_or_the_middle_frame():
    predicted, frames = random_frames(7, seed=1), random_frames(7)
    middle = stage_loss(stage(predicted[:, 3:4]), frames)
    expected = (predicted[:, 3] - frames[:, 3]).abs().flatten(1).sum(1)
    torch.testing.assert_close(middle.total, expected)
    pair = stage_loss(stage(predicted[:, 1:6]), frames)
    torch.testing.assert_close(pair.total, pair_loss(predicted[:, [1, 5]], frames[:, [1, 5]]))
    assert not pair.middle.any() and not middle.pairs.any()


def test_the_recurrent_loss_is_the_sum_of_its_parts():
    predicted, frames = random_frames(3, seed=1), random_frames(3)
    flows = tuple(random_tensor(2, 2, 2, 8 * k, 12 * k, seed=k) for k in (1, 2))
    terms = recurrent_loss(stage(predicted)._replace(flows=flows), frames)
    expected = (predicted[:, 1] - frames[:, 1]).abs().flatten(1).sum(1)
    expected = expected + pair_loss(predicted, frames)
    expected = expected + 0.02 * sum(total_variation(flow) for flow in flows)
    torch.testing.assert_close(terms.total, expected)


def test_the_total_variation_counts_each_step_of_a_ramp():
    ramp = torch.zeros(1, 2, 2, 5, 7)
    ramp[0, 1, 0] = 3 * torch.arange(7.0) + 10 * torch.arange(5.0)[:, None]
    assert total_variation(ramp).item() == 3 * 6 * 5 + 10 * 4 * 7
    assert not total_variation(torch.full((1, 2, 2, 5, 7), 4.0)).any()


@pytest.mark.parametrize("name", ["full", "light", "jin2018", "recurrent"])
def test_mean_divides_every_loss_by_the_full_scale_pixels(name):
    frames = random_frames(3)
    flows = (random_tensor(2, 2, 2, 8, 12),)
    restoration = random_restoration(3)._replace(flows=flows)
    totals = [
        loss_of(name, photometric=p, order="given", without=())(restoration, frames)[0]
        for p in ("sum", "mean")
    ]
    torch.testing.assert_close(totals[0], totals[1] * SIZE_HW[0] * SIZE_HW[1])
    assert terms_of(name)[0] == "total"
