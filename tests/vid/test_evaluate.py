"""How restoration is measured: spec 4."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from blurvid import evaluate, predictions
from blurvid.evaluate import EvaluationSpec
from blurvid.index import find_mixture
from blurvid.metrics import METRICS_AND_SSIM3D
from blurvid.model import ModelSpec, build_model
from blurvid.protocols import (
    PROTOCOLS,
    Scores,
    agreeing_samples,
    capped_count,
    reversed_samples,
)
from blurvid.restore import restore_image
from blurvid.rows import BLUR, MODEL, MOVED_MIDDLE, PREDICTED_MIDDLE, TRUE_MIDDLE
from blurvid.stream import read_samples

from .answers import CAP, CPU, Answers, evaluated, mixture_of, panorama_sample, psnr_of

GAUSSIAN_SSIM = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
}


@pytest.fixture
def dots(tmp_path, write_data_set):
    folder = write_data_set(tmp_path, "dots", "test", [3, 2], response="gamma2.2")
    return find_mixture(folder, split="test", frames=3)


@pytest.fixture
def seven(tmp_path, write_data_set):
    folder = write_data_set(tmp_path, "seven", "test", [4], frames=7, size_hw=(32, 64))
    return find_mixture(folder, split="test", frames=7)


@pytest.fixture
def turns(tmp_path):
    return mixture_of(tmp_path, [panorama_sample(k) for k in range(4)])


# --- protocols ------------------------------------------------------------------------------


def test_an_exact_model_is_at_the_cap_under_every_protocol(dots):
    evaluation = evaluated(dots)
    for protocol in PROTOCOLS:
        metrics = PROTOCOLS[protocol](evaluation.rows[MODEL])
        assert (metrics["psnr"] == CAP).all() and metrics["psnr"].shape == (5, 3)
        np.testing.assert_allclose(metrics["ssim"], 1, atol=1e-12)
        assert capped_count(metrics) == 15


@pytest.mark.parametrize("protocol", ["sequence", "per-metric", "per-pair", "per-frame"])
def test_the_truth_reversed_in_time_is_at_the_cap_where_the_order_is_not_judged(dots, protocol):
    metrics = PROTOCOLS[protocol](evaluated(dots, lambda frames: frames.flip(1)).rows[MODEL])
    assert (metrics["psnr"] == CAP).all()
    np.testing.assert_allclose(metrics["ssim"], 1, atol=1e-12)


def test_the_truth_reversed_in_time_is_not_at_the_cap_in_forward(dots):
    ahead = psnr_of(evaluated(dots, lambda frames: frames.flip(1)), MODEL, "forward")
    assert (ahead[:, 1] == CAP).all() and (ahead[:, [0, 2]] < 40).all()


def test_a_consistent_answer_of_seven_frames_agrees_and_a_mixed_one_less(seven):
    """Every answer reversed; then of one sample the outermost pair alone."""

    def mixed(frames):
        changed = frames.flip(1).clone()
        changed[0, [0, 6]] = frames[0, [0, 6]]
        return changed

    consistent = evaluated(seven, lambda frames: frames.flip(1), batch=4).rows[MODEL]
    assert agreeing_samples(consistent).all() and reversed_samples(consistent).all()
    partly = evaluated(seven, mixed, batch=4).rows[MODEL]
    assert agreeing_samples(partly).tolist() == [False, True, True, True]
    assert (PROTOCOLS["per-pair"](partly)["psnr"] == CAP).all()
    assert not (PROTOCOLS["sequence"](partly)["psnr"] == CAP).all()


def test_sequence_takes_one_direction_for_every_frame_and_metric(dots):
    """Frames right one way but the first, which is right the other way: no mixing of the two."""

    def mixed(frames):
        changed = frames.flip(1).clone()
        changed[:, 0] = frames[:, 0] * 0.9
        return changed

    evaluation = evaluated(dots, mixed)
    scores = evaluation.rows[MODEL]
    chosen = PROTOCOLS["sequence"](scores)
    for metric in ("psnr", "ssim"):
        for k in range(5):
            options = [direction[metric][k].tolist() for direction in scores]
            assert chosen[metric][k].tolist() in options
            assert options.index(chosen[metric][k].tolist()) == (
                np.argmax([direction["psnr"][k].mean() for direction in scores])
            )


def test_each_sample_has_a_direction_of_its_own(dots):
    def every_other(frames):
        return torch.stack([f.flip(0) if k % 2 else f for k, f in enumerate(frames)])

    evaluation = evaluated(dots, every_other, batch=5)
    assert (psnr_of(evaluation, MODEL, "sequence") == CAP).all()
    assert (psnr_of(evaluation, MODEL, "forward")[[1, 3]][:, [0, 2]] < CAP).all()


def test_a_tie_of_directions_is_left_as_stored():
    same = {"psnr": np.full((2, 3), 20.0), "ssim": np.full((2, 3), 0.5)}
    other = {"psnr": np.full((2, 3), 20.0), "ssim": np.full((2, 3), 0.9)}
    assert (PROTOCOLS["sequence"](Scores(same, other))["ssim"] == 0.5).all()


def test_per_frame_takes_the_best_of_both_directions(seven):
    """The first half right, and at the end its mirror image in time, darker."""

    def half_right(frames):
        return torch.cat([frames[:, :4], frames[:, :3].flip(1) * 0.8], 1)

    scores = evaluated(seven, half_right).rows[MODEL]
    best = np.maximum(scores.forward["psnr"], scores.backward["psnr"])
    np.testing.assert_array_equal(PROTOCOLS["per-frame"](scores)["psnr"], best)
    assert (best[:, :4] == CAP).all()
    assert best.mean() > PROTOCOLS["per-pair"](scores)["psnr"].mean()


def test_column_k_of_a_reversed_estimate_still_belongs_to_true_frame_k(dots):
    """Reversed truth, spoilt where the last true frame is predicted: the last column is low."""

    def spoilt(frames):
        changed = frames.flip(1).clone()
        changed[:, 0] = changed[:, 0] * 0.8
        return changed

    psnr = psnr_of(evaluated(dots, spoilt), MODEL, "sequence")
    assert (psnr[:, :2] == CAP).all() and (psnr[:, 2] < 40).all()


# --- rows -----------------------------------------------------------------------------------


def test_the_trivial_rows_are_scored_on_the_same_samples(dots):
    """Brute force: scikit-image's SSIM and PSNR by hand."""
    evaluation = evaluated(dots, lambda frames: 1 - frames)
    samples = list(read_samples(dots, range(5)))
    assert evaluation.keys == tuple(s.key for s in samples)
    repeated = {BLUR: [s.blur for s in samples]}
    repeated[PREDICTED_MIDDLE] = [255 - s.frames[1] for s in samples]
    repeated[TRUE_MIDDLE] = [s.frames[1] for s in samples]
    for row, images in repeated.items():
        for protocol in PROTOCOLS:
            metrics = PROTOCOLS[protocol](evaluation.rows[row])
            for k, (image, sample) in enumerate(zip(images, samples)):
                for frame in (0, 2):
                    expected = measured(image, sample.frames[frame])
                    got = metrics["psnr"][k, frame], metrics["ssim"][k, frame]
                    np.testing.assert_allclose(got, expected, rtol=1e-9)


def measured(image, truth):
    error = np.mean((image.astype(float) - truth) ** 2)
    ssim = structural_similarity(image, truth, **GAUSSIAN_SSIM, channel_axis=-1)
    return 10 * np.log10(255**2 / error), ssim


def test_the_moved_middle_is_the_other_frames_where_both_see(turns):
    evaluation = evaluated(turns)
    moved = psnr_of(evaluation, MOVED_MIDDLE, "sequence")
    still = psnr_of(evaluation, TRUE_MIDDLE, "sequence")
    assert (moved[:, [0, 2]] > 40).all() and (still[:, [0, 2]] < 30).all()
    assert (moved[:, 1] == CAP).all()
    assert (PROTOCOLS["forward"](evaluation.rows[MOVED_MIDDLE])["ssim"] > 0.98).all()


def test_the_moved_middle_is_absent_where_no_homography_is_known(dots, tmp_path):
    assert MOVED_MIDDLE not in evaluated(dots).rows
    sphere = mixture_of(tmp_path / "sphere", [panorama_sample(0, xi=0.7)])
    assert MOVED_MIDDLE not in evaluated(sphere).rows


def test_frames_that_the_middle_does_not_see_are_not_compared(tmp_path):
    samples = [panorama_sample(0), panorama_sample(1, beta_deg=(0.0, 170.0, 0.0))]
    evaluation = evaluated(mixture_of(tmp_path, samples), measures=METRICS_AND_SSIM3D)
    for values in PROTOCOLS["forward"](evaluation.rows[MOVED_MIDDLE]).values():
        assert np.isnan(values[1, [0, 2]]).all() and np.isfinite(values[0]).all()


def test_ssim3d_stands_in_every_row_where_it_is_asked_for(turns):
    """Brute force on the blurry input: scikit-image on volumes padded by their edges."""
    evaluation = evaluated(turns, lambda frames: frames * 0.9, measures=METRICS_AND_SSIM3D)
    for scores in evaluation.rows.values():
        assert all(list(direction) == ["psnr", "ssim", "ssim3d"] for direction in scores)
    for k, sample in enumerate(read_samples(turns, range(4))):
        for frame in range(3):
            padded = (np.pad(image, 5, "edge") for image in (sample.blur, sample.frames[frame]))
            expected = structural_similarity(*padded, **GAUSSIAN_SSIM)
            got = evaluation.rows[BLUR].forward["ssim3d"][k, frame]
            assert got == pytest.approx(expected, abs=1e-9)


def test_a_model_of_three_frames_is_measured_on_data_of_seven_that_it_never_saw(
    tmp_path, write_data_set
):
    """Cross-data: a real model; the frames compared are the first, the middle and the last."""
    folder = write_data_set(tmp_path, "long", "test", [3], frames=7, size_hw=(32, 64))
    torch.manual_seed(0)
    model = build_model(ModelSpec(frames=3, width=1))
    data = find_mixture(folder, split="test", frames=model.spec.frames)
    (evaluation,) = evaluate.evaluate_model(model, data, device=CPU)
    stored = list(read_samples(find_mixture(folder, split="test", frames=7), range(3)))
    for k, sample in enumerate(stored):
        restored = restore_image(model, sample.blur, device=CPU)
        for frame, number in enumerate((0, 3, 6)):
            expected = measured(restored[frame], sample.frames[number])
            got = [evaluation.rows[MODEL].forward[m][k, frame] for m in ("psnr", "ssim")]
            np.testing.assert_allclose(got, expected, rtol=1e-4)  # batched otherwise


# --- data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [None, 1, 2, 100])
def test_batches_hold_samples_of_one_size_and_change_no_number(tmp_path, make_sample, batch):
    small = [make_sample(k) for k in range(5)]
    data = mixture_of(tmp_path, small, [make_sample(k, size_hw=(48, 64)) for k in (5, 6, 7)])
    model = Answers(data, lambda frames: frames * 0.7)
    spec = EvaluationSpec(batch=batch)
    (evaluation,) = evaluate.evaluate_model(model, data, device=CPU, spec=spec)
    assert len(evaluation.keys) == 8 and evaluation.facts.sizes_hw == ((32, 40), (48, 64))
    assert max(b for b, *_ in model.batches) <= (batch or 100)
    (one_by_one,) = evaluate.evaluate_model(model, data, device=CPU, spec=EvaluationSpec(batch=1))
    for metric in ("psnr", "ssim"):
        expected = one_by_one.rows[MODEL].backward[metric]
        np.testing.assert_allclose(evaluation.rows[MODEL].backward[metric], expected, rtol=1e-12)


def test_a_large_sample_is_a_batch_of_its_own(make_sample):
    samples = [make_sample(k, size_hw=(400, 500)) for k in range(3)]
    groups = predictions.equal_sized(samples, batch=None)
    assert [len(group) for group in groups] == [1, 1, 1]


def test_of_seven_stored_frames_three_are_taken_for_a_model_of_three(tmp_path, write_data_set):
    folder = write_data_set(tmp_path, "long", "test", [2], frames=7, size_hw=(32, 64))
    data = find_mixture(folder, split="test", frames=3)
    evaluation = evaluated(data)
    assert psnr_of(evaluation, MODEL, "forward").shape == (2, 3)
    assert (psnr_of(evaluation, MODEL, "forward") == CAP).all()


def test_a_limit_spreads_over_the_data_set_and_each_batch_is_told(dots):
    told = []
    (evaluation,) = evaluate.evaluate_model(
        Answers(dots),
        dots,
        device=CPU,
        spec=EvaluationSpec(batch=1, limit=2),
        on_batch=lambda data_set, batch: told.append((data_set.name, batch.samples[0].key)),
    )
    assert evaluation.keys == ("dots-000000", "dots-000002")
    assert told == [("dots", key) for key in evaluation.keys]
    assert evaluate.sample_count(dots, 2) == 2 and evaluate.sample_count(dots, None) == 5


def test_several_data_sets_have_a_table_each(tmp_path, write_data_set):
    for name, response in (("one", "identity"), ("two", "srgb")):
        write_data_set(tmp_path, name, "test", [2], response=response)
    data = find_mixture(tmp_path, split="test", frames=3)
    evaluations = evaluate.evaluate_model(Answers(data), data, device=CPU)
    assert [e.facts.data_set for e in evaluations] == ["one", "two"]
    assert [e.facts.response for e in evaluations] == ["identity", "srgb"]


def test_different_responses_never_stand_in_one_table(tmp_path, make_sample):
    data = mixture_of(tmp_path, [make_sample(0)], [make_sample(1, response="srgb")])
    with pytest.raises(ValueError, match="identity, srgb"):
        evaluated(data)


@pytest.mark.parametrize(
    "wrong, said", [({"limit": 0}, "limit"), ({"batch": 0}, "batch"), ({"measures": {}}, "psnr")]
)
def test_an_evaluation_of_nothing_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        EvaluationSpec(**wrong)


def test_a_model_of_another_number_of_frames_is_refused(dots):
    with pytest.raises(ValueError, match="expected 3 frames"):
        evaluated(dots, lambda frames: frames[:, :2])


def test_a_prediction_that_is_not_finite_ends_in_a_sentence(dots):
    with pytest.raises(ValueError, match="diverged"):
        evaluated(dots, lambda frames: frames / 0)


def test_validation_is_the_models_row_under_the_primary_protocol(turns):
    def answer(frames):
        return frames.flip(1) * 0.9

    model = Answers(turns, answer)
    expected = psnr_of(evaluated(turns, answer), MODEL, "sequence")
    samples = read_samples(turns, range(turns.sample_count))
    np.testing.assert_array_equal(evaluate.sequence_psnr(model, samples, device=CPU), expected)
