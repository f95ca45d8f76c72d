"""Laws of planning: who is drawn, how samples are split and packed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blursynth import packing, plan, rotation
from blursynth.sources import Panorama, Scene, clip_of
from blursynth.spec import (
    CameraOptions,
    DataSetOptions,
    PanoramaOptions,
    RotationOptions,
    VideoOptions,
)

OPTIONS = PanoramaOptions()
DATA_SET = DataSetOptions("panorama")


def panoramas(*names):
    return [Panorama(name, Path(name), 10, "ab") for name in names]


def scene(name, numbers=range(1, 21), size_hw=(72, 96)):
    return Scene(name, Path(name), tuple(numbers), (), size_hw, 10, "ab")


def planned_panoramas(sources, data_set=DATA_SET, per_panorama=29):
    return plan.plan_panoramas(
        Path("out"), sources, options=OPTIONS, data_set=data_set, per_panorama=per_panorama
    )


def drawn(sources, **named):
    """Key -> spec of everything that a plan makes."""
    return {
        (spec := plan.panorama_spec("panorama", take.source.name, k, OPTIONS)).key: spec
        for shard in planned_panoramas(sources, **named).shards
        for take in shard.takes
        for k in take.numbers
    }


def planned_windows(scenes, options, **named):
    return plan.plan_windows(
        Path("out"), scenes, options=options, data_set=DataSetOptions("gopro", **named)
    )


# --- panoramas -------------------------------------------------------------------------------


def test_a_new_source_changes_no_other_sample():
    before = drawn(panoramas("a.jpg", "b.jpg", "c.jpg"))
    after = drawn(panoramas("a.jpg", "aa.jpg", "b.jpg", "c.jpg"))
    assert len(after) == len(before) + 29
    assert all(after[key] == spec for key, spec in before.items())


def test_totals_change_how_many_samples_there_are_but_not_which():
    sources = panoramas(*(f"{k}.jpg" for k in range(10)))
    many = drawn(sources)
    few = drawn(sources, data_set=replace(DATA_SET, train_total=31, test_total=4))
    assert len(few) == 35 and few.items() <= many.items()


def test_the_papers_totals_come_out_exactly():
    sources = panoramas(*(f"{k}.jpg" for k in range(1000)))
    made = planned_panoramas(sources, replace(DATA_SET, train_total=26000, test_total=3200))
    for split, total in (("train", 26000), ("test", 3200)):
        assert sum(s.samples for s in made.shards if s.name.split == split) == total
    tested = {t.source for s in made.shards if s.name.split == "test" for t in s.takes}
    assert len(tested) == 110


def test_seeds_differ_and_zero_is_a_seed():
    first, again, other = (
        plan.panorama_spec("d", "a.jpg", 0, replace(OPTIONS, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again and first != other


def test_orientations_angles_and_coins_are_drawn_as_the_paper_needs_them():
    specs = [plan.panorama_spec("d", "a.jpg", k, OPTIONS) for k in range(4000)]
    beta = np.array([s.beta_deg for s in specs])
    assert np.abs(beta).max() <= 10 and np.abs(beta.mean(0)).max() < 0.4
    assert np.mean([s.n for s in specs]) == pytest.approx(16.6, abs=0.15)
    assert all(s.n % 2 == 1 and s.n >= 7 for s in specs)
    firsts, lasts = np.array([s.quat_first_last for s in specs]).swapaxes(0, 1)
    matrices = rotation.matrices(firsts), rotation.matrices(lasts)
    level = [np.abs(m[:, 1, 0]) < 1e-12 for m in matrices]  # x stays horizontal: roll 0
    assert np.mean(level[0]) == pytest.approx(0.5, abs=0.03)
    assert np.all(level[0] != level[1])
    initial = np.where(level[0][:, None, None], *matrices)
    sine = -initial[:, 1, 2]
    assert np.abs(sine).max() <= np.sqrt(0.5) + 1e-12
    histogram = np.histogram(sine, bins=8, range=(-np.sqrt(0.5), np.sqrt(0.5)))[0]
    assert histogram.min() > 400  # area-uniform: the sine of the pitch is uniform
    yaw = np.arctan2(initial[:, 0, 2], initial[:, 2, 2])
    assert np.histogram(yaw, bins=8, range=(-np.pi, np.pi))[0].min() > 400


def test_final_is_initial_turned_by_the_euler_angles():
    for k in range(20):
        spec = plan.panorama_spec("d", "a.jpg", k, OPTIONS)
        ends = rotation.matrices(np.array(spec.quat_first_last))
        turn = rotation.matrices(rotation.quat_from_euler(np.array(spec.beta_deg)))
        given, swapped = (np.abs(a @ turn - b).max() for a, b in (ends, ends[::-1]))
        assert min(given, swapped) < 1e-12


@pytest.mark.parametrize(
    "beta, n", [(0, 7), (0.9, 7), (1, 9), (1.99, 9), (2, 9), (2.9, 9), (3, 11), (17.3, 25)]
)
def test_n_is_the_nearest_odd_number_to_c_plus_beta(beta, n):
    assert plan.frame_count(np.array([beta, 0.0, 0.0]), RotationOptions()) == n


def test_stored_times_are_exact():
    assert plan.frame_times("3", 17) == (0, 0.5, 1)
    assert plan.frame_times("7", 17) == tuple(k / 6 for k in range(7))
    assert plan.frame_times("all", 5) == (0, 0.25, 0.5, 0.75, 1)


def test_cutting_out_of_a_larger_render_keeps_focal_length_and_principal_point():
    cut = replace(OPTIONS, camera=CameraOptions(size=32, render_size=100))
    whole = cut.camera.rendered()
    corners = set()
    for k in range(200):
        camera = plan.panorama_spec("d", "a.jpg", k, cut).camera
        assert camera.size_hw == (32, 32) and camera.focal_px == whole.focal_px
        left, top = 50 - np.array(camera.principal_xy)
        assert 0 <= left <= 68 and 0 <= top <= 68 and left % 1 == top % 1 == 0
        corners.add((left, top))
    assert len(corners) > 150


# --- splits and shards -----------------------------------------------------------------------


@pytest.mark.parametrize("count, tested", [(1, 0), (2, 1), (5, 1), (14, 2), (100, 11)])
def test_eleven_percent_and_at_least_one_source_are_for_the_test(count, tested):
    split = packing.split_by_hash([str(k) for k in range(count)], 0.11)
    assert sum(side == "test" for side in split.values()) == tested


def test_no_panorama_is_on_both_sides_of_the_split():
    made = planned_panoramas(panoramas(*(f"{k}.jpg" for k in range(40))))
    sides = [{t.source for s in made.shards if s.name.split == x for t in s.takes}
             for x in ("train", "test")]  # fmt: skip
    assert len(sides[0]) == 36 and len(sides[1]) == 4 and not sides[0] & sides[1]


def test_shards_hold_whole_panoramas_and_about_as_many_samples_as_asked():
    made = planned_panoramas(panoramas(*(f"{k}.jpg" for k in range(100))))
    train = [s.samples for s in made.shards if s.name.split == "train"]
    assert all(count % 29 == 0 for count in train)
    assert set(train[:-1]) == {261} and sum(train) == 89 * 29


def test_one_panorama_larger_than_a_shard_is_a_shard():
    made = planned_panoramas(panoramas("a", "b", "c"), per_panorama=700)
    assert [s.samples for s in made.shards] == [700, 700, 700]


def test_folders_that_say_train_and_test_rule():
    names = ["train/GOPR0001_11_00", "test/GOPR0001_12_00", "test/GOPR0002_11_00"]
    split = packing.split_sources([scene(n) for n in names], 0.11, group_of=clip_of)
    assert list(split.values()) == ["train", "test", "test"]
    assert packing.shared_clips(split) == ["GOPR0001"]


def test_folders_rule_for_panoramas_too():
    made = planned_panoramas(panoramas("test/a.jpg", "train/b.jpg", "train/c.jpg", "d.jpg"))
    split_of = {t.source.name: s.name.split for s in made.shards for t in s.takes}
    assert [name for name, split in split_of.items() if split == "test"] == ["test/a.jpg"]


def test_scenes_of_one_clip_stay_together():
    scenes = [scene(f"GOPR{clip:04d}_11_{part:02d}") for clip in range(9) for part in range(4)]
    split = packing.split_sources(scenes, 0.11, group_of=clip_of)
    assert packing.shared_clips(split) == []
    assert {clip_of(s) for s, side in split.items() if side == "test"}


def test_a_lone_clip_is_all_training():
    assert packing.split_sources([scene("walk.mp4")], 0.11, group_of=clip_of) == {"walk.mp4": "train"}


# --- windows ---------------------------------------------------------------------------------


def test_windows_never_cross_a_gap_in_the_numbers():
    numbers = [*range(100, 110), *range(111, 115), *range(120, 128)]
    starts = plan.window_starts(numbers, VideoOptions(n=7, crop=8))
    assert starts == [0, 1, 2, 3, 14, 15]
    for start in starts:
        assert np.all(np.diff(numbers[start : start + 7]) == 1)


def test_the_stride_counts_anew_in_each_run():
    numbers = [*range(10), *range(20, 30)]
    starts = plan.window_starts(numbers, VideoOptions(n=3, crop=8, stride=3))
    assert starts == [0, 3, 6, 10, 13, 16]


def test_too_few_frames_are_refused_with_what_was_found():
    with pytest.raises(ValueError, match="expected 7 consecutive frames, found 6"):
        plan.window_starts(range(6), VideoOptions(n=7, crop=8))


def test_the_counts_of_the_gopro_data_come_out():
    starts = plan.window_starts(range(1, 101), VideoOptions())
    disjoint = plan.window_starts(range(1, 101), VideoOptions(stride=7))
    assert len(starts) == 94 and len(disjoint) == 14


def test_crops_lie_inside_and_everywhere():
    options = VideoOptions(n=7, crop=64)
    one = scene("s", range(20), (72, 96))
    starts = plan.window_starts(one.numbers, options)
    corners = {plan.window_spec("d", one, k, starts, options).crop_xywh for k in range(3000)}
    xs, ys = {c[0] for c in corners}, {c[1] for c in corners}
    assert xs == set(range(33)) and ys == set(range(9))


def test_a_crop_may_be_the_whole_frame_but_not_larger():
    one = scene("s", range(20), (64, 64))
    options = VideoOptions(n=7, crop=64)
    assert plan.window_spec("d", one, 0, [0], options).crop_xywh == (0, 0, 64, 64)
    with pytest.raises(ValueError, match="at least 65x65, found 64x64"):
        plan.check_scene(one, replace(options, crop=65))


def test_a_smaller_total_takes_a_part_of_a_larger_one():
    scenes = [scene(f"clip{k}", range(10 + 5 * k)) for k in range(6)]
    options = VideoOptions(n=7, crop=8)

    def keys(total):
        made = planned_windows(scenes, options, train_total=total, test_total=0)
        return {(t.source.name, k) for s in made.shards for t in s.takes for k in t.numbers}

    sizes = [7, 30, 64, 200]
    sets = [keys(total) for total in sizes]
    assert [len(s) for s in sets] == sizes
    assert all(a <= b for a, b in zip(sets, sets[1:], strict=False))


def test_scenes_are_cut_where_a_shard_is_full_and_windows_stay_in_order():
    scenes = [scene(f"train/clip{k}", range(40)) for k in range(3)]
    made = planned_windows(scenes, VideoOptions(n=7, crop=8), samples_per_shard=50)
    assert [s.samples for s in made.shards] == [50, 50, 2]
    for shard in made.shards:
        for take in shard.takes:
            assert list(take.numbers) == sorted(take.numbers)


def test_a_plan_of_no_samples_or_too_many_is_refused():
    for change in ({"train_total": 0, "test_total": 0}, {"train_total": 0}):
        sources = panoramas("a")
        with pytest.raises(ValueError, match="at least one sample"):
            planned_panoramas(sources, replace(DATA_SET, **change))
        with pytest.raises(ValueError, match="at least one sample"):
            planned_windows([scene("s")], VideoOptions(n=7, crop=8), **change)
    with pytest.raises(ValueError, match="--per-panorama"):
        planned_panoramas(panoramas("a"), per_panorama=2_000_000_000)


def test_the_fingerprint_knows_options_and_sources():
    first = planned_panoramas(panoramas("a", "b"))
    assert first.fingerprint == planned_panoramas(panoramas("a", "b")).fingerprint
    others = [
        planned_panoramas(panoramas("a", "c")),
        planned_panoramas(panoramas("a", "b"), per_panorama=28),
        planned_panoramas([*panoramas("a"), replace(panoramas("b")[0], sha256="cd")]),
    ]
    assert len({first.fingerprint, *(o.fingerprint for o in others)}) == 4


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: VideoOptions(n=6), "--n odd"),
        (lambda: VideoOptions(n=3, frames="7"), "--frames of at most the 3"),
        (lambda: CameraOptions(size=0), "--size"),
        (lambda: CameraOptions(size=64, render_size=32), "--render-size"),
        (lambda: CameraOptions(hfov_deg=180), "field of view"),
        (lambda: RotationOptions(max_angle_deg=-1), "--max-angle"),
        (lambda: RotationOptions(c=1), "--c"),
        (lambda: PanoramaOptions(exposure="bright"), "--exposure"),
        (lambda: PanoramaOptions(seed=-1), "--seed"),
        (lambda: PanoramaOptions(seed=2**63), "--seed"),
        (lambda: PanoramaOptions(exposure="2000"), "--exposure"),
        (lambda: CameraOptions(hfov_deg=230, xi=2), "every pixel sees the sphere"),
        (lambda: DataSetOptions("a", train_total=10**9), "--train from 0 to 10,000,000"),
        (lambda: DataSetOptions("a/b"), "--name"),
        (lambda: DataSetOptions("a.b"), "--name"),
    ],
)
def test_impossible_options_are_refused_at_birth(make, words):
    with pytest.raises(ValueError, match=words):
        make()
