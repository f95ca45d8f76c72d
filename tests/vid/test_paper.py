"""The paper's numbers as data, against what its text says of them."""

import re

import numpy as np
import pytest

from blurvid import paper

from ..conftest import SHARED


@pytest.fixture
def printed():
    """All numbers of three decimals in the paper's text."""
    texts = [path.read_text() for path in (SHARED / "paper").glob("*.txt")]
    if not texts:
        pytest.skip("the paper's text is not here")
    return set(re.findall(r"\d+\.\d{3}", " ".join(texts)))


def only(table, name, kind="video"):
    (row,) = [r for r in paper.rows_of(table) if (r.name, r.kind) == (name, kind)]
    return row


def test_every_figure_stands_in_the_papers_text(printed):
    for row in paper.ROWS:
        assert {f"{value:.3f}" for value in (*row.psnr, *row.ssim)} <= printed


def test_every_row_has_3_or_7_frames_and_an_ssim_for_each_but_in_the_ablations():
    for row in paper.ROWS:
        assert row.frames == (7 if row.table == "table4" else 3)
        assert len(row.ssim) == (0 if row.table == "table3" else row.frames)


def test_the_lighter_model_loses_0_4_db_on_average_as_the_paper_says():
    ours, light = only("table1", paper.OURS), only("table2", "Lighter model")
    assert np.mean(ours.psnr) - np.mean(light.psnr) == pytest.approx(0.4, abs=0.02)


def test_the_penalty_term_gains_a_quarter_of_a_db_as_the_paper_says():
    whole, without = only("table3", "PML + TCL + PT"), only("table3", "PML + TCL")
    assert np.mean(whole.psnr) - np.mean(without.psnr) == pytest.approx(0.25, abs=0.01)


def test_the_whole_model_of_the_ablations_is_that_of_table_1():
    ours = only("table1", paper.OURS)
    for name in ("FTN + ITN + LW", "PML + TCL + PT"):
        row = only("table3", name)
        assert (row.psnr, row.model, row.without) == (ours.psnr, ours.model, ours.without)


@pytest.mark.parametrize(
    ("kind", "frames", "labels"),
    [
        ("video", 3, ["paper, Table 1: Jin et al. (2018)", "paper, Table 1: Ours"]),
        ("panorama", 3, ["paper, Table 1: Ours"]),
        ("video", 7, ["paper, Table 4: Jin et al. (2018)", "paper, Table 4: Ours"]),
        ("panorama", 7, []),
    ],
)
def test_beside_a_run_stand_the_rows_of_its_kind_of_blur_and_number_of_frames(kind, frames, labels):
    assert [paper.label(row) for row in paper.rows_beside(kind, frames)] == labels


def test_the_figures_end_in_the_mean_over_the_frames():
    assert paper.figures(only("table1", paper.OURS), "psnr")[-1] == pytest.approx(28.92)
    assert paper.figures(only("table3", "FTN"), "ssim") == ()
