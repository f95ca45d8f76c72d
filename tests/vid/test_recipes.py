"""What stands behind each table of the paper: laws over the data, no training."""

import pytest

from blurvid import paper
from blurvid.recipes import (
    SCALES,
    TABLES,
    Supply,
    Training,
    command_for,
    needed,
    recipes_of,
    run_spec,
    settings,
)

SUPPLY = Supply("shards", {"video": "clips", "panorama": "turns"}, workers=2)
ALL = [recipe for table in TABLES for recipe in recipes_of(table)]
NETWORK, LOSS = {"ftn", "itn", "lw"}, {"pml", "pt", "tcl"}


def spec_of(recipe, scale="paper"):
    return run_spec(recipe.training, SCALES[scale], SUPPLY)


@pytest.mark.parametrize(
    ("table", "runs"),
    [
        ("table1", ["jin2018-video-3f", "full-video-3f", "full-panorama-3f"]),
        ("table2", ["full-panorama-3f", "light-video-3f"]),
        (
            "table3",
            [
                *("full-video-3f-without-itn-lw", "full-video-3f-without-itn"),
                *("full-video-3f-without-lw", "full-video-3f"),
                *("full-video-3f-without-pt-tcl", "full-video-3f-without-pt", "full-video-3f"),
            ],
        ),
        ("table4", ["jin2018-video-7f", "full-video-7f"]),
    ],
)
def test_the_rows_of_each_table_are_these_trainings(table, runs):
    assert [recipe.training.name for recipe in recipes_of(table)] == runs


def test_every_row_of_the_paper_has_one_recipe_and_is_tested_on_its_kind_of_blur():
    assert [recipe.paper for recipe in ALL] == list(paper.ROWS)
    assert all(recipe.tested_on == recipe.paper.kind for recipe in ALL)


def test_all_rows_but_the_cross_data_one_are_trained_on_the_kind_that_they_are_tested_on():
    crossed = [recipe for recipe in ALL if recipe.training.kind != recipe.tested_on]
    assert [recipe.paper.name for recipe in crossed] == ["Cross-dataset"]
    assert crossed[0].training == recipes_of("table1")[2].training


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: f"{r.paper.table} {r.paper.name}")
def test_every_row_is_trained_at_exactly_the_papers_settings(recipe):
    """Spec 1.5."""
    spec = spec_of(recipe)
    assert (spec.training.epochs, spec.training.steps) == (80, None)
    assert (spec.optimizer.learning_rate, spec.optimizer.schedule) == (1e-4, "paper")
    assert (spec.optimizer.clip_norm, spec.optimizer.ema) == (None, 0)
    assert (spec.training.order, spec.training.photometric) == ("given", "sum")
    assert (spec.model.width, spec.model.residual) == (32, True)
    assert spec.model.frames == recipe.paper.frames == recipe.training.frames
    on_video_256 = recipe.training.kind == "video" and spec.model.frames == 3
    assert (spec.data.crop, spec.data.batch) == ((256, 4) if on_video_256 else (128, 8))
    assert spec.data.name == {"video": "clips", "panorama": "turns"}[recipe.training.kind]
    assert spec.compute.precision == "fp32"
    assert (spec.report.validate_samples, spec.report.validate_every) == (None, None)


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: f"{r.paper.table} {r.paper.name}")
@pytest.mark.parametrize("scale", SCALES)
def test_the_model_and_what_is_left_out_are_those_of_the_row_at_every_scale(recipe, scale):
    spec = spec_of(recipe, scale)
    assert spec.model.name == recipe.paper.model
    assert spec.model.frames == recipe.paper.frames
    assert set(spec.model.without) == set(recipe.paper.without) & NETWORK
    assert set(spec.training.without) == set(recipe.paper.without) & LOSS
    assert set(recipe.paper.without) <= NETWORK | LOSS


def test_the_names_of_the_ablations_say_what_is_there():
    """Row by row: what the name lists, and what is left out, together are all."""
    for recipe in recipes_of("table3"):
        listed = {part.lower() for part in recipe.paper.name.split(" + ")}
        whole = NETWORK if "ftn" in listed else LOSS
        assert listed | set(recipe.paper.without) == whole
        assert not listed & set(recipe.paper.without)


def test_two_trainings_have_one_folder_only_where_they_are_the_same():
    named = {recipe.training.name: spec_of(recipe) for recipe in ALL}
    assert len(named) == len({recipe.training for recipe in ALL}) == 11
    assert all(named[recipe.training.name] == spec_of(recipe) for recipe in ALL)


def test_the_small_scale_is_small_in_everything_and_says_that_it_gives_no_results():
    for recipe in ALL:
        spec = spec_of(recipe, "small")
        assert spec.model.width <= 2 and spec.training.steps <= 50 and spec.data.batch <= 2
        assert spec.data.crop <= 32 and spec.report.validate_samples <= 8
    for table in TABLES:
        small, whole = (settings(table, SCALES[scale]) for scale in ("small", "paper"))
        assert small[0].startswith("scale small") and "these are NO RESULTS" in small[1]
        assert whole[0].startswith("the paper's settings: 80 epochs, width 32, crops of ")
        staged = any(recipe.paper.model == "jin2018" for recipe in recipes_of(table))
        assert any("in stages" in sentence for sentence in whole) == staged


def test_a_table_needs_the_kinds_that_it_trains_and_tests_on():
    assert {table: set(needed(table)) for table in TABLES} == {
        "table1": {"video", "panorama"},
        "table2": {"video", "panorama"},
        "table3": {"video"},
        "table4": {"video"},
    }
    assert (needed("table3")["video"], needed("table4")["video"]) == ((3, 256), (7, 128))


def test_the_command_for_missing_data_makes_the_papers_size():
    made = [command_for(k, frames=3, side=128, shards="s") for k in ("panorama", "video")]
    assert made == [
        "blursynth panorama --src sun360/ --size 128 --frames 3 --out s",
        "blursynth gopro --src gopro/ --n 7 --crop 128 --out s",
    ]


def test_a_runs_name_says_what_is_left_out():
    training = Training("full", "video", 3, 256, ("itn", "lw"))
    assert training.name == "full-video-3f-without-itn-lw"
