"""Evaluations as numbers, text, CSV and JSON: spec 4."""

import csv
import io
import json

import numpy as np
import pytest

from blurvid import summary, tables
from blurvid.checkpoint import Checkpoint, save_checkpoint
from blurvid.evaluate import DataFacts, Evaluation
from blurvid.figures import BLUR_PX, REBLUR, REBLUR_TRUE
from blurvid.index import find_mixture
from blurvid.metrics import METRICS_AND_SSIM3D
from blurvid.model import ModelSpec, build_model
from blurvid.protocols import PROTOCOLS, Scores
from blurvid.rows import BLUR, MODEL, MOVED_MIDDLE
from blurvid.statistics import bootstrap_interval
from blurvid.stream import read_samples
from blurvid.summary import CheckpointFacts

from .answers import CAP, evaluated, mixture_of, panorama_sample

MADE_BY = CheckpointFacts("runs/x/best.safetensors", {"name": "full", "frames": 3}, 7, 11)


@pytest.fixture
def dots(tmp_path, write_data_set):
    folder = write_data_set(tmp_path, "dots", "test", [3, 2], response="gamma2.2")
    return find_mixture(folder, split="test", frames=3)


@pytest.fixture
def turns(tmp_path):
    return mixture_of(tmp_path, [panorama_sample(k) for k in range(4)])


def drawn(blur_px, *, n=3, seed=0):
    """An evaluation of a model and one trivial row with drawn scores, of samples of such blur."""
    rng, samples = np.random.default_rng(seed), len(blur_px)

    def direction():
        psnr, ssim = rng.uniform(15, 35, (samples, n)), rng.uniform(0, 1, (samples, n))
        return {"psnr": psnr, "ssim": ssim}

    facts = DataFacts("d", "test", "f" * 64, "video", "srgb", ((32, 32),), (7,) * samples, (0,))
    repeated = direction()
    figures = {name: rng.uniform(20, 40, samples) for name in (REBLUR, REBLUR_TRUE)}
    return Evaluation(
        facts,
        tuple(f"d-{k:06d}" for k in range(samples)),
        {MODEL: Scores(direction(), direction()), BLUR: Scores(repeated, repeated)},
        {BLUR_PX: np.array(blur_px, float), **figures},
    )


def numbers_of(evaluation, protocols=tuple(PROTOCOLS)):
    return summary.summary(evaluation, MADE_BY, protocols)


# --- numbers --------------------------------------------------------------------------------


def test_each_mean_stands_with_the_interval_of_its_column():
    evaluation = drawn(np.full(30, 5.0))
    measured = numbers_of(evaluation)
    for protocol, by_row in measured["protocols"].items():
        for row, metrics in by_row.items():
            for metric in ("psnr", "ssim"):
                values = PROTOCOLS[protocol](evaluation.rows[row])[metric]
                stored = metrics[metric]
                np.testing.assert_allclose(stored["frames"], values.mean(0))
                np.testing.assert_allclose(stored["mean"], values.mean())
                expected = bootstrap_interval(np.column_stack([values, values.mean(1)]))
                np.testing.assert_allclose(stored["interval"]["frames"], expected[:-1])
                np.testing.assert_allclose(stored["interval"]["mean"], expected[-1])
    for name, column in (("predicted", REBLUR), ("true", REBLUR_TRUE)):
        values, stored = evaluation.figures[column], measured["reblur"][name]
        assert stored["mean"] == pytest.approx(values.mean())
        np.testing.assert_allclose(stored["interval"], bootstrap_interval(values))


def test_bins_hold_each_sample_once_and_their_own_means():
    blur_px = [0.0, 1.99, 2.0, 7.9, 8.0, 31.0, 32.0, 500.0, np.nan]
    evaluation = drawn(blur_px)
    bins = numbers_of(evaluation)["by_blur"]
    edges = [(b["from_px"], b["to_px"]) for b in bins]
    assert edges == [(0, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, None)]
    assert [b["samples"] for b in bins] == [2, 1, 1, 1, 1, 2]
    scores = evaluation.rows[MODEL]
    for found, members in zip(bins, ([0, 1], [2], [3], [4], [5], [6, 7])):
        for protocol in PROTOCOLS:
            expected = PROTOCOLS[protocol](scores)["ssim"][members].mean(0)
            got = found["protocols"][protocol][MODEL]["ssim"]["frames"]
            np.testing.assert_allclose(got, expected)
        expected = evaluation.figures[REBLUR][members].mean()
        assert found["reblur"]["predicted"]["mean"] == pytest.approx(expected)


@pytest.mark.parametrize("samples, worst", [(1, 1), (9, 1), (10, 1), (19, 1), (20, 2), (40, 4)])
def test_the_worst_tenth_is_that_of_the_predicted_middle_frame(samples, worst):
    evaluation = drawn(np.ones(samples))
    middle = evaluation.rows[MODEL].forward["psnr"][:, 1]
    numbers = summary.worst_numbers(evaluation)
    assert sorted(middle[numbers]) == sorted(middle)[:worst]
    found = numbers_of(evaluation)["worst_tenth"]
    assert found["samples"] == worst
    expected = evaluation.rows[BLUR].forward["psnr"][numbers].mean()
    assert found["protocols"]["forward"][BLUR]["psnr"]["mean"] == pytest.approx(expected)


def test_agreement_and_reversal_are_shares_of_the_samples(dots):
    def first_reversed(frames):
        return frames.flip(1) if len(frames) == 1 and frames[0, 0, 0, 0, 0] < 0.2 else frames

    evaluation = evaluated(dots, first_reversed, batch=1)
    shares = numbers_of(evaluation)["agreement"]
    corners = [s < 0.2 for s in corner_values(dots)]
    assert 0 < sum(corners) < 5
    assert shares == {"pairs": 1.0, "reversed": sum(corners) / 5}


def corner_values(data):
    return [s.frames[0, 0, 0, 0] / 255 for s in read_samples(data, range(5))]


def test_what_cannot_be_compared_is_null_and_left_out_of_the_mean(tmp_path):
    samples = [panorama_sample(0), panorama_sample(1, beta_deg=(0.0, 170.0, 0.0))]
    evaluation = evaluated(mixture_of(tmp_path, samples))
    moved = evaluation.rows[MOVED_MIDDLE].forward["psnr"]
    assert np.isnan(moved[1, [0, 2]]).all()
    assert summary.frame_means(moved)[0] == moved[0, 0]
    lines = list(csv.DictReader(io.StringIO(tables.samples_csv(evaluation, ["forward"]))))
    assert lines[-1]["psnr_Fi"] == "" and lines[-1]["psnr_Fm"] == "100.000000"
    measured = numbers_of(evaluation)
    json.dumps(measured, allow_nan=False)
    stored = measured["protocols"]["forward"][MOVED_MIDDLE]["psnr"]
    assert stored["interval"]["frames"] == [[None, None], [CAP, CAP], [None, None]]
    assert stored["interval"]["mean"] == [None, None]


def test_a_dash_stands_where_nothing_can_be_compared(tmp_path):
    unseen = panorama_sample(1, beta_deg=(0.0, 170.0, 0.0))
    text = tables.as_text(numbers_of(evaluated(mixture_of(tmp_path, [unseen]))))
    shown = next(line for line in text.splitlines() if line.startswith(MOVED_MIDDLE))
    assert shown.removeprefix(MOVED_MIDDLE).split() == ["-", "100.00", "-", "-", "1"]


def test_the_training_seed_is_said_where_the_checkpoint_holds_it(tmp_path):
    spec = ModelSpec(frames=3, width=1)
    weights = build_model(spec).state_dict()
    best, last = {"step": 9, "seed": 4}, {"step": 9, "shaping": {"seed": 5}}
    said, other = [], {"step": "9", "shaping": "?"}
    for k, progress in enumerate([best, last, other]):
        path = tmp_path / f"{k}.safetensors"
        save_checkpoint(path, Checkpoint(spec, weights, progress=progress))
        facts = summary.checkpoint_facts(path)
        assert facts.path == str(path) and facts.model == spec.to_dict()
        said.append((facts.step, facts.seed))
    assert said == [(9, 4), (9, 5), (None, None)]


# --- text -----------------------------------------------------------------------------------


def test_a_table_says_what_it_was_made_of(turns):
    text = tables.as_text(numbers_of(evaluated(turns)))
    for said in (
        *("data set made (panorama)", "aaaaaaaaaaaa", "split test", "4 samples of 64x48"),
        *("response srgb", "n = 7 to 10, mean 8.5", "data seed 5", "runs/x/best.safetensors"),
        *("name full, frames 3", "step 7, seed 11", "Fi", "Fm", "Ff", MOVED_MIDDLE, "re-blur"),
        *(f"protocol {protocol}: " for protocol in PROTOCOLS),
    ):
        assert said in text, text
    model_line = next(line for line in text.splitlines() if line.startswith("model, sequence"))
    assert model_line.split() == ["model,", "sequence", *["100.00"] * 4, "12"]


@pytest.mark.parametrize("n", [3, 7])
def test_a_table_fits_in_100_columns(n):
    evaluation = drawn([1, 3, 5, 10, 20, 40, 1, 3, 5, 10], n=n)
    for text in (tables.as_text(numbers_of(evaluation)), one_sample_text(n)):
        assert max(map(len, text.splitlines())) <= 100, text


def one_sample_text(n):
    text = tables.as_text(numbers_of(drawn([1.0], n=n), ["forward"]))
    assert "(95 % - to -)" in text and "protocol sequence:" not in text
    return text


def test_a_table_of_seven_frames_shows_the_numbers_of_the_summary():
    evaluation = drawn([1, 3, 5, 10, 20, 40], n=7)
    measured = numbers_of(evaluation, ["per-pair"])
    lines = tables.as_text(measured).splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("model, per-pair"))
    assert lines[at - 1].split()[3:] == [*(f"F{k}" for k in range(1, 8)), "mean", "at", "100", "dB"]
    stored = measured["protocols"]["per-pair"][MODEL]["psnr"]
    for line, pick in ((at, None), (at + 1, 0), (at + 2, 1)):
        numbers = stored if pick is None else stored["interval"]
        values = [*numbers["frames"], numbers["mean"]]
        shown = [f"{v if pick is None else v[pick]:.2f}" for v in values]
        assert " ".join(shown) in " ".join(lines[line].split())


def test_the_table_by_blur_shows_each_group_in_its_column():
    evaluation = drawn([1, 3, 5, 10, 20, 40, 1], n=7)
    measured = numbers_of(evaluation, ["forward"])
    text = tables.as_text(measured)
    assert "0-2    2-4    4-8   8-16  16-32    32-  worst" in text
    lines = text[text.index("PSNR in dB by blur length") :].splitlines()
    assert lines[2].split() == ["samples", "2", "1", "1", "1", "1", "1", "1"]
    groups = [*measured["by_blur"], measured["worst_tenth"]]
    expected = [g["protocols"]["forward"][MODEL]["psnr"]["frames"][6] for g in groups]
    shown = next(line for line in lines if line.startswith("model, F7"))
    assert shown.split()[2:] == [f"{value:.2f}" for value in expected]
    shown = next(line for line in lines if line.startswith("re-blur, true frames"))
    assert shown.split()[3:] == [f"{g['reblur']['true']['mean']:.2f}" for g in groups]


def test_seven_frames_are_called_f1_to_f7():
    assert tables.frame_names(7) == [f"F{k}" for k in range(1, 8)]


# --- CSV and JSON ---------------------------------------------------------------------------


def test_csv_and_json_hold_what_the_table_means(dots):
    evaluation = evaluated(
        dots, lambda frames: frames.flip(1) * 0.9, measures=METRICS_AND_SSIM3D
    )
    lines = list(csv.DictReader(io.StringIO(tables.samples_csv(evaluation, list(PROTOCOLS)))))
    assert len(lines) == 5 * 4 * 5
    assert list(lines[0])[:6] == ["key", "row", "protocol", "psnr_Fi", "psnr_Fm", "psnr_Ff"]
    measured = numbers_of(evaluation)["protocols"]
    for protocol in PROTOCOLS:
        chosen = [x for x in lines if (x["row"], x["protocol"]) == (MODEL, protocol)]
        assert [x["key"] for x in chosen] == list(evaluation.keys)
        for metric in ("psnr", "ssim", "ssim3d"):
            columns = [f"{metric}_{frame}" for frame in ("Fi", "Fm", "Ff")]
            means = [np.mean([float(x[column]) for x in chosen]) for column in columns]
            stored = measured[protocol][MODEL][metric]
            np.testing.assert_allclose(stored["frames"], means, atol=1e-6)
            assert stored["mean"] == pytest.approx(np.mean(means), abs=1e-6)


def test_the_figures_of_each_sample_have_a_line_of_their_own(turns):
    evaluation = evaluated(turns, lambda frames: frames.flip(1))
    lines = list(csv.DictReader(io.StringIO(tables.figures_csv(evaluation))))
    assert [line["key"] for line in lines] == list(evaluation.keys)
    for name, values in evaluation.figures.items():
        np.testing.assert_allclose([float(line[name]) for line in lines], values, atol=1e-6)
    assert {line["reversed"] for line in lines} == {line["pairs_agree"] for line in lines} == {"1"}


def test_written_tables_are_the_texts(turns, tmp_path):
    evaluation = evaluated(turns)
    measured = numbers_of(evaluation, ["sequence"])
    tables.write_tables(tmp_path / "out", [evaluation], [measured])
    names = ["evaluation.json", "figures-made.csv", "samples-made.csv", "table.txt"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    (stored,) = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert stored == json.loads(json.dumps(measured))
    assert {
        *("data_set", "fingerprint", "split", "samples", "sizes_hw", "response", "n", "seeds"),
        *("checkpoint", "model", "kind", "protocols", "agreement", "reblur", "by_blur"),
        "worst_tenth",
    } <= set(stored)
    assert (stored["kind"], stored["seeds"]) == ("panorama", [5])
    assert stored["n"] == {"min": 7, "max": 10, "mean": 8.5}
    with open(tmp_path / "out/samples-made.csv", newline="") as file:
        assert {line["protocol"] for line in csv.DictReader(file)} == {"sequence"}
