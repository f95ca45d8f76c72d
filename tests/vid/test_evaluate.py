"""How restoration is measured: spec 4."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from blursynth.camera import centred_camera, pixel_centres, rays
from blursynth.rotation import matrices, quat_from_euler
from blursynth.schema import SCHEMA_VERSION, Sample
from blursynth.shards import ShardName, write_shard
from blurvid import evaluate, tables
from blurvid.evaluate import BLUR, MODEL, MOVED_MIDDLE, PREDICTED_MIDDLE, PROTOCOLS, TRUE_MIDDLE
from blurvid.index import find_mixture
from blurvid.stream import read_samples

CPU = torch.device("cpu")
CAP = 100.0


class Answers:
    """A model that knows the true frames of each blur; `change` turns them into its answer."""

    def __init__(self, data, change=lambda frames: frames):
        samples = read_samples(data, range(data.sample_count))
        self.truth = {s.blur.tobytes(): s.frames for s in samples}
        self.change = change
        self.batches = []

    def restore(self, blur):
        self.batches.append(tuple(blur.shape))
        codes = (blur * 255).round().byte().permute(0, 2, 3, 1).numpy()
        frames = np.stack([self.truth[image.tobytes()] for image in codes])
        return self.change(torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 255)


def panorama_sample(number, *, xi=0.0, beta_deg=(4.0, -6.0, 5.0), size_hw=(48, 64)):
    """A turning camera in a smooth world whose colours are a function of direction."""
    camera = centred_camera(size_hw, 60.0, xi)
    turn = np.array(beta_deg) * (1 if number % 2 else -1)
    quats = [quat_from_euler(turn * t + [0, 40 * number, 0]) for t in (0.0, 0.5, 1.0)]
    directions = [rays(pixel_centres(size_hw), camera) @ m.T for m in matrices(np.array(quats))]
    waves = np.array([[5.0, 1, 0], [0, 6, 2], [3, -4, 5]])
    frames = np.stack([(np.sin(d @ waves.T) * 100 + 128).round() for d in directions])
    meta = {
        **{"schema": SCHEMA_VERSION, "kind": "panorama", "source": "p.jpg", "n": 7 + number},
        **{"times": [0.0, 0.5, 1.0], "response": "srgb", "exact_mean": True, "seed": 5},
        **{"direction": [0.0, 0.0, 0.0], "clipped": 0.0, "size_hw": list(size_hw), "xi": xi},
        **{"hfov_deg": 60.0, "focal_px": camera.focal_px, "principal_xy": camera.principal_xy},
        **{"beta_deg": list(beta_deg), "quat_wxyz": [q.tolist() for q in quats]},
        **{"quat_first_last": [quats[0].tolist(), quats[-1].tolist()], "max_step_px": 1.0},
    }
    blur = frames.mean(0).round().astype(np.uint8)
    return Sample(f"turns-{number:06d}", blur, frames.astype(np.uint8), meta)


def mixture_of(folder, *shards):
    """Shards of these samples as one data set, read with three frames."""
    for number, samples in enumerate(shards):
        name = ShardName(str(folder), "made", "test", number)
        write_shard(name, samples, fingerprint="a" * 64, image_format="png")
    return find_mixture(folder, split="test", frames=3)


@pytest.fixture
def dots(tmp_path, write_data_set):
    folder = write_data_set(tmp_path, "dots", "test", [3, 2], response="gamma2.2")
    return find_mixture(folder, split="test", frames=3)


@pytest.fixture
def turns(tmp_path):
    return mixture_of(tmp_path, [panorama_sample(k) for k in range(4)])


def evaluated(data, change=lambda frames: frames, **options):
    (only,) = evaluate.evaluate_model(Answers(data, change), data, device=CPU, **options)
    return only


def psnr_of(evaluation, row, protocol):
    return PROTOCOLS[protocol](evaluation.rows[row])["psnr"]


# --- protocols ------------------------------------------------------------------------------


def test_an_exact_model_is_at_the_cap_under_every_protocol(dots):
    evaluation = evaluated(dots)
    for protocol in PROTOCOLS:
        metrics = PROTOCOLS[protocol](evaluation.rows[MODEL])
        assert (metrics["psnr"] == CAP).all() and metrics["psnr"].shape == (5, 3)
        np.testing.assert_allclose(metrics["ssim"], 1, atol=1e-12)
        assert evaluate.capped_count(metrics) == 15


def test_the_truth_reversed_in_time_is_at_the_cap_in_sequence_and_not_in_forward(dots):
    evaluation = evaluated(dots, lambda frames: frames.flip(1))
    assert (psnr_of(evaluation, MODEL, "sequence") == CAP).all()
    ahead = psnr_of(evaluation, MODEL, "forward")
    assert (ahead[:, 1] == CAP).all() and (ahead[:, [0, 2]] < 40).all()


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
    assert (PROTOCOLS["sequence"](evaluate.Scores(same, other))["ssim"] == 0.5).all()


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
    ssim = structural_similarity(
        image,
        truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1,
    )
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


def test_frames_that_the_middle_does_not_see_are_left_out_of_the_mean(tmp_path):
    samples = [panorama_sample(0), panorama_sample(1, beta_deg=(0.0, 170.0, 0.0))]
    evaluation = evaluated(mixture_of(tmp_path, samples))
    moved = psnr_of(evaluation, MOVED_MIDDLE, "forward")
    assert np.isnan(moved[1, [0, 2]]).all()
    assert tables.frame_means(moved)[0] == moved[0, 0]
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(evaluation, ["forward"]))))
    assert lines[-1]["psnr_Fi"] == "" and lines[-1]["psnr_Fm"] == "100.000000"
    json.dumps(tables.as_json(evaluation, "c", list(PROTOCOLS)), allow_nan=False)


# --- data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [None, 1, 2, 100])
def test_batches_hold_samples_of_one_size_and_change_no_number(tmp_path, make_sample, batch):
    small = [make_sample(k) for k in range(5)]
    data = mixture_of(tmp_path, small, [make_sample(k, size_hw=(48, 64)) for k in (5, 6, 7)])
    model = Answers(data, lambda frames: frames * 0.7)
    (evaluation,) = evaluate.evaluate_model(model, data, device=CPU, batch=batch)
    assert len(evaluation.keys) == 8 and evaluation.facts.sizes_hw == ((32, 40), (48, 64))
    assert max(b for b, *_ in model.batches) <= (batch or 100)
    (one_by_one,) = evaluate.evaluate_model(model, data, device=CPU, batch=1)
    for metric in ("psnr", "ssim"):
        expected = one_by_one.rows[MODEL].backward[metric]
        np.testing.assert_allclose(evaluation.rows[MODEL].backward[metric], expected, rtol=1e-12)


def test_a_large_sample_is_a_batch_of_its_own(make_sample):
    samples = [make_sample(k, size_hw=(400, 500)) for k in range(3)]
    groups = evaluate.equal_sized(samples, batch=None)
    assert [len(group) for group in groups] == [1, 1, 1]


def test_of_seven_stored_frames_three_are_taken_for_a_model_of_three(tmp_path, write_data_set):
    folder = write_data_set(tmp_path, "long", "test", [2], frames=7, size_hw=(32, 64))
    data = find_mixture(folder, split="test", frames=3)
    evaluation = evaluated(data)
    assert psnr_of(evaluation, MODEL, "forward").shape == (2, 3)
    assert (psnr_of(evaluation, MODEL, "forward") == CAP).all()


def test_a_limit_spreads_over_the_data_set_and_progress_is_told(dots):
    told = []
    model = Answers(dots)
    (evaluation,) = evaluate.evaluate_model(
        model, dots, device=CPU, batch=1, limit=2, on_progress=told.append
    )
    assert evaluation.keys == ("dots-000000", "dots-000002") and told == [1, 2]
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


# --- tables ---------------------------------------------------------------------------------


def test_a_table_says_what_it_was_made_of(turns):
    text = tables.as_text(evaluated(turns), "runs/x/best.safetensors", list(PROTOCOLS))
    for said in (
        *("data set made", "aaaaaaaaaaaa", "split test", "4 samples of 64x48", "response srgb"),
        *("n = 7 to 10, mean 8.5", "seed 5", "runs/x/best.safetensors"),
        *("protocol sequence", "protocol forward", "Fi", "Fm", "Ff", MOVED_MIDDLE),
    ):
        assert said in text, text
    model_line = next(line for line in text.splitlines() if line.startswith("model"))
    assert model_line.split() == ["model", *["100.00"] * 4, "12"]
    assert max(map(len, text.splitlines())) <= 100


def test_seven_frames_are_called_f1_to_f7():
    assert tables.frame_names(7) == [f"F{k}" for k in range(1, 8)]


def test_csv_and_json_hold_what_the_table_means(dots):
    evaluation = evaluated(dots, lambda frames: frames.flip(1) * 0.9)
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(evaluation, list(PROTOCOLS)))))
    assert len(lines) == 2 * 4 * 5
    summary = tables.as_json(evaluation, "c", list(PROTOCOLS))["protocols"]
    for protocol in PROTOCOLS:
        chosen = [x for x in lines if (x["row"], x["protocol"]) == (MODEL, protocol)]
        assert [x["key"] for x in chosen] == list(evaluation.keys)
        for metric in ("psnr", "ssim"):
            columns = [f"{metric}_{frame}" for frame in ("Fi", "Fm", "Ff")]
            means = [np.mean([float(x[column]) for x in chosen]) for column in columns]
            stored = summary[protocol][MODEL][metric]
            np.testing.assert_allclose(stored["frames"], means, atol=1e-6)
            assert stored["mean"] == pytest.approx(np.mean(means), abs=1e-6)
