"""Studies of a model's motion, their pictures (section 5.3.1) and tables."""

import csv
import io
import json

import numpy as np
import pytest

from blursynth import motion as true_motion
from blurvid import motion, motion_pictures, motion_tables
from blurvid.motion import FTN, IDENTITY, ITN
from blurvid.motion_study import SampleMotion, moved_by

from .turning import (
    PATH,
    ROLL,
    SIZE_HW,
    db,
    panorama_sample,
    rolls,
    still,
    studied,
    thetas_of,
    true_for_ftn_and_still_for_itn,
)

# --- a data set -----------------------------------------------------------------------------


def test_a_study_finds_the_truth_in_either_direction(tmp_path):
    told = []
    study = studied(
        tmp_path, rolls(5), true_for_ftn_and_still_for_itn, pictures=2, on_progress=told.append
    )
    assert told == [1, 2, 3, 4, 5] and study.samples == 5
    assert study.keys == tuple(f"turns-{k:06d}" for k in range(5))
    assert [m.sample.key for m in study.shown] == ["turns-000000", "turns-000002"]
    assert motion.runs_backward(study.errors).tolist() == [False, True, False, True, False]
    found = motion.in_better_direction(study.errors)
    assert found[FTN].shape == (5, 3) and np.nanmax(found[FTN]) < 1e-4  # thetas in float32
    np.testing.assert_allclose(found[ITN], found[IDENTITY], atol=1e-9)
    assert np.nanmin(found[IDENTITY]) > 1


def test_a_study_takes_as_many_samples_as_asked_and_those_with_a_homography(tmp_path):
    samples = [panorama_sample(k, xi=0.5 if k == 2 else 0.0) for k in range(4)]
    study = studied(tmp_path, samples, lambda s: (still(), still()), limit=2)
    assert study.samples == 2 and study.keys == ("turns-000000",)
    assert len(study.shown) == 2


def test_without_ftn_the_middle_frame_moves_as_itn_says():
    sample = panorama_sample(beta_deg=ROLL)
    true, wrong = thetas_of(sample.meta), still()
    moved = SampleMotion(sample, {ITN: true}).moved_middle()
    np.testing.assert_array_equal(moved, moved_by(true, sample.frames[1]))
    both = SampleMotion(sample, {ITN: wrong, FTN: true})
    np.testing.assert_array_equal(both.moved_middle(), moved)


@pytest.mark.parametrize("known", [True, False])
def test_a_prediction_is_turned_where_the_other_direction_fits(known):
    """By the homography, or without one by the picture itself."""
    sample = panorama_sample(beta_deg=ROLL)
    thetas = thetas_of(sample.meta)
    if not known:
        sample.meta["kind"] = "video"
    right, wrong = (SampleMotion(sample, {FTN: t}) for t in (thetas, thetas[::-1]))
    assert right.turned() is right
    np.testing.assert_array_equal(wrong.turned().thetas[FTN], thetas)


# --- pictures -------------------------------------------------------------------------------


def test_three_frames_are_the_columns_of_figure_6():
    sample = panorama_sample(beta_deg=ROLL)
    cells = motion_pictures.figure_cells(SampleMotion(sample, {FTN: thetas_of(sample.meta)}))
    assert list(cells) == ["input", "Fi", "T(Fm; θi)", "Fm", "T(Fm; θf)", "Ff"]
    np.testing.assert_array_equal(cells["input"], sample.blur)
    for number, name in enumerate(("Fi", "Fm", "Ff")):
        np.testing.assert_array_equal(cells[name], sample.frames[number])
    for number, letter in ((0, "i"), (2, "f")):
        seen = true_motion.visible(sample.meta, 1, number)
        assert db(cells[f"T(Fm; θ{letter})"], sample.frames[number], seen) > 45


def test_of_seven_frames_each_stands_beside_the_moved_middle_one():
    sample = panorama_sample(beta_deg=ROLL, frames=7)
    cells = motion_pictures.figure_cells(SampleMotion(sample, {FTN: thetas_of(sample.meta)}))
    before = [name for k in (1, 2, 3) for name in (f"F{k}", f"T(F4; θ{k})")]
    after = [name for k in (5, 6, 7) for name in (f"T(F4; θ{k})", f"F{k}")]
    assert list(cells) == ["input", *before, "F4", *after]
    for k in (1, 2, 3, 5, 6, 7):
        seen = true_motion.visible(sample.meta, 3, k - 1)
        assert db(cells[f"T(F4; θ{k})"], sample.frames[k - 1], seen) > 45


def test_figure_6_shows_the_pictures_enlarged_and_in_their_colours(tmp_path):
    study = studied(tmp_path, rolls(2), lambda s: (still(), still()))
    figure = motion_pictures.figure_6([study])
    height, width = (2 * side for side in SIZE_HW)
    assert figure.shape == (2 * 22 + 2 * height + 3 * 4, 6 * width + 5 * 4, 3)
    first = figure[52 : 52 + height, :width]
    np.testing.assert_array_equal(first[::2, ::2], study.shown[0].sample.blur)


def colours_at(panel, places):
    """Those of the pixels at (x, y)."""
    return [tuple(panel[int(y), int(x)].tolist()) for x, y in places]


def test_where_prediction_and_truth_coincide_both_show():
    sample = panorama_sample(beta_deg=ROLL)
    panel = motion_pictures.path_panel(SampleMotion(sample, {FTN: thetas_of(sample.meta)}), FTN)
    scale, margin = 4, 35  # 70 px enlarged to 280
    assert panel.shape == (4 * 45 + 70, 4 * 70 + 70, 3)
    ends = motion.true_paths(sample.meta, motion_pictures.path_points(SIZE_HW))[2]
    places = np.delete(ends, 12, 0) * scale + margin  # the roll's centre stays where it is
    assert set(colours_at(panel, places)) == {motion_pictures.PREDICTED_COLOUR}
    for x, y in places.astype(int):
        around = panel[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7].reshape(-1, 3)
        assert list(motion_pictures.TRUE_COLOUR) in around.tolist()


def test_a_still_prediction_leaves_the_true_paths_alone_visible():
    sample = panorama_sample(beta_deg=PATH)
    panel = motion_pictures.path_panel(SampleMotion(sample, {FTN: still()}), FTN)
    ends = motion.true_paths(sample.meta, motion_pictures.path_points(SIZE_HW))
    for k in (0, 2):
        inside = ends[k] * 4 + 35
        assert set(colours_at(panel, inside)) == {motion_pictures.TRUE_COLOUR}


def test_a_collapsed_or_far_prediction_can_be_drawn():
    sample = panorama_sample()
    far = still() * 1e-5
    far[..., 2] = 1e6
    for thetas in (np.zeros((2, 2, 3)), far):
        shown = SampleMotion(sample, {FTN: thetas})
        assert motion_pictures.path_panel(shown, FTN).shape == (250, 350, 3)
        assert shown.moved_middle().shape == (2, 45, 70, 3)


def test_a_large_picture_is_reduced_and_a_small_one_enlarged():
    assert motion_pictures._scale((720, 1280), 128) == 0.4
    assert motion_pictures._scale((40, 64), 128) == 2
    assert motion_pictures._scale((256, 256), 128) == 1


# --- tables ---------------------------------------------------------------------------------


def test_bins_hold_every_sample_once_and_their_means():
    errors = {
        IDENTITY: np.array([[0.5, np.nan, 1.5], [1, np.nan, 2], [20, np.nan, 30]]),
        FTN: np.array([[0.1, np.nan, 0.1], [0.3, np.nan, 0.5], [9, np.nan, 9]]),
    }
    first, last = motion_tables.bins(errors)
    assert first == {
        **{"from_px": 1, "to_px": 2, "samples": 2},
        "mean": {IDENTITY: pytest.approx(1.25), FTN: pytest.approx(0.25)},
    }
    assert last == {"from_px": 16, "to_px": None, "samples": 1, "mean": {IDENTITY: 25.0, FTN: 9.0}}


def test_table_csv_and_json_say_the_same(tmp_path):
    study = studied(tmp_path, rolls(3), true_for_ftn_and_still_for_itn)
    identity = motion.in_better_direction(study.errors)[IDENTITY]
    rows = list(csv.DictReader(io.StringIO(motion_tables.as_csv([study]))))
    assert [row["reversed"] for row in rows] == ["0", "1", "0"]
    means = np.nanmean(identity, 1)
    np.testing.assert_allclose([float(row[IDENTITY]) for row in rows], means, atol=1e-6)
    assert all(float(row[FTN]) < 1e-4 for row in rows)
    stored = json.loads(json.dumps(motion_tables.as_json(study, "c"), allow_nan=False))
    said = stored["end_point_error_px"]
    assert said["reversed"] == 1 and said["rows"][IDENTITY]["frames"][1] is None
    assert said["rows"][IDENTITY]["mean"] == pytest.approx(means.mean())
    assert said["rows"][IDENTITY]["median"] == pytest.approx(np.median(means))
    text = motion_tables.as_text(study, "c")
    for part in ("fingerprint aaaaaaaaaaaa", "3 samples", "33.3%", f"{means.mean():.3f}", "0.000"):
        assert part in text


def test_where_every_place_is_behind_the_camera_the_tables_have_a_gap(tmp_path):
    samples = [panorama_sample(beta_deg=(0, 300, 0))]
    study = studied(tmp_path, samples, lambda s: (still(), still()))
    said = motion_tables.as_json(study, "c")["end_point_error_px"]
    assert said["rows"][FTN] == {"mean": None, "median": None, "frames": [None] * 3}
    assert said["bins"] == [] and said["reversed"] == 0
    assert motion_tables.as_csv([study]).splitlines()[1] == "turns,turns-000000,0,,,"
    assert "FTN" in motion_tables.as_text(study, "c")
    assert motion_pictures.path_panels([study]).shape[2] == 3


def test_a_network_that_is_not_there_has_no_panel_and_an_empty_field(tmp_path):
    study = studied(tmp_path, rolls(1), lambda s: (still(), None))
    (motion_,) = study.shown
    assert list(motion_.thetas) == [FTN]
    height, width, _ = motion_pictures.path_panels([study]).shape
    assert height == 4 * 22 + 250 + 4 * 4 and width == motion_pictures.LEGEND_WIDTH
    row = motion_tables.as_csv([study]).splitlines()[1].split(",")
    assert row[3] == "" and row[4] == row[5] != ""
