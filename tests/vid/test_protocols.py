"""Which direction of time counts: laws on drawn scores."""

import numpy as np
import pytest

from blurvid.protocols import PROTOCOLS, Scores, agreeing_samples, reversed_samples


def drawn(samples=200, n=7, seed=0):
    """Scores of a model in both directions; the middle frame has no direction."""
    rng = np.random.default_rng(seed)
    forward = {"psnr": rng.uniform(15, 35, (samples, n)), "ssim": rng.uniform(0, 1, (samples, n))}
    backward = {metric: rng.permuted(values) for metric, values in forward.items()}
    for metric, values in backward.items():
        values[:, n // 2] = forward[metric][:, n // 2]
    return Scores(forward, backward)


def slow(protocol, scores):
    """The protocols as spec 4 words them, sample by sample and frame by frame."""
    ahead, back = scores
    n = ahead["psnr"].shape[1]
    answer = {metric: np.empty_like(values) for metric, values in ahead.items()}
    for metric, values in answer.items():
        for s in range(len(values)):
            for k in range(n):
                judged_by, frames = {
                    "sequence": ("psnr", list(range(n))),
                    "per-metric": (metric, list(range(n))),
                    "per-pair": ("psnr", [k, n - 1 - k]),
                    "per-frame": (metric, [k]),
                }[protocol]
                reverse = back[judged_by][s, frames].mean() > ahead[judged_by][s, frames].mean()
                values[s, k] = (back if reverse else ahead)[metric][s, k]
    return answer


@pytest.mark.parametrize("n", [3, 7])
@pytest.mark.parametrize("protocol", ["sequence", "per-metric", "per-pair", "per-frame"])
def test_each_protocol_is_what_its_words_say(protocol, n):
    scores = drawn(n=n)
    expected = slow(protocol, scores)
    for metric, values in PROTOCOLS[protocol](scores).items():
        np.testing.assert_array_equal(values, expected[metric])


@pytest.mark.parametrize("n", [3, 7])
def test_the_freer_the_choice_the_higher_the_psnr(n):
    scores = drawn(n=n)
    free_to_bound = ["per-frame", "per-pair", "sequence", "forward"]
    means = [PROTOCOLS[protocol](scores)["psnr"].mean(1) for protocol in free_to_bound]
    for freer, stricter in zip(means, means[1:]):
        assert (freer >= stricter - 1e-9).all()
        assert n == 3 or freer.mean() > stricter.mean() + 0.1


def test_per_metric_is_sequence_for_psnr_and_at_least_as_high_for_ssim():
    scores = drawn()
    own, judged_by_psnr = (PROTOCOLS[name](scores) for name in ("per-metric", "sequence"))
    np.testing.assert_array_equal(own["psnr"], judged_by_psnr["psnr"])
    assert own["ssim"].mean() > judged_by_psnr["ssim"].mean()


def test_for_three_frames_the_only_pair_is_the_sequence():
    scores = drawn(n=3)
    for metric in ("psnr", "ssim"):
        expected = PROTOCOLS["sequence"](scores)[metric]
        np.testing.assert_array_equal(PROTOCOLS["per-pair"](scores)[metric], expected)


@pytest.mark.parametrize("protocol", ["sequence", "per-metric", "per-pair", "per-frame"])
def test_a_reversed_answer_scores_as_its_reversal_where_the_order_is_not_judged(protocol):
    scores = drawn()
    swapped = Scores(scores.backward, scores.forward)
    for metric, values in PROTOCOLS[protocol](scores).items():
        np.testing.assert_array_equal(values, PROTOCOLS[protocol](swapped)[metric])


def test_reversal_that_only_exchanges_mirrored_scores_is_a_tie():
    forward = drawn().forward
    scores = Scores(forward, {metric: values[:, ::-1] for metric, values in forward.items()})
    assert not reversed_samples(scores).any() and agreeing_samples(scores).all()
    for protocol in ("sequence", "per-metric", "per-pair"):
        for metric, values in PROTOCOLS[protocol](scores).items():
            np.testing.assert_array_equal(values, forward[metric])


def test_what_cannot_be_compared_stays_so():
    values = {"psnr": np.array([[np.nan, 20.0, np.nan]]), "ssim": np.array([[np.nan, 1, np.nan]])}
    for protocol in PROTOCOLS.values():
        np.testing.assert_array_equal(protocol(Scores(values, values))["psnr"], values["psnr"])


# --- agreement ------------------------------------------------------------------------------


def gains(*of_pairs):
    """Scores of one sample of seven frames whose pairs gain so much by reversal."""
    first = np.array(of_pairs, float)
    forward = np.full((1, 7), 25.0)
    backward = forward + np.concatenate([first, [0], first[::-1]])
    return Scores({"psnr": forward}, {"psnr": backward})


@pytest.mark.parametrize(
    "of_pairs, agrees, is_reversed",
    [
        ((1, 2, 3), True, True),
        ((-1, -2, -3), True, False),
        ((1, 2, -9), False, False),
        ((-1, -2, 9), False, True),
        ((0, 2, 3), True, True),
        ((0, -2, -3), True, False),
        ((0, 0, 0), True, False),
        ((0, 2, -3), False, False),
    ],
)
def test_pairs_agree_unless_two_choose_opposite_directions(of_pairs, agrees, is_reversed):
    scores = gains(*of_pairs)
    assert agreeing_samples(scores).tolist() == [agrees]
    assert reversed_samples(scores).tolist() == [is_reversed]


def test_a_pair_is_judged_by_both_its_frames():
    forward = {"psnr": np.array([[20.0, 20, 20, 30, 20, 20, 20]])}
    backward = {"psnr": np.array([[25.0, 21, 21, 30, 21, 21, 14]])}
    assert not agreeing_samples(Scores(forward, backward))[0]
    chosen = PROTOCOLS["per-pair"](Scores(forward, backward))["psnr"]
    assert chosen.tolist() == [[20, 21, 21, 30, 21, 21, 20]]
