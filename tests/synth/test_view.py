"""The page about data sets: what it counts and draws, that it is bounded, and that it repeats."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blursynth import (
    files,
    generate,
    making,
    motion,
    plan,
    schema,
    shards,
    sources,
    spec,
    verify,
    view,
    view_histograms,
    view_sample,
    view_survey,
)
from blursynth.camera import centred_camera, pixel_centres
from blursynth.rotation import multiply, quat_from_euler, quat_looking_at
from blursynth.verify_shard import read_sample

from ..conftest import make_picture, write_image, write_scene

PANORAMA = spec.PanoramaOptions(camera=spec.CameraOptions(size=48), frames="7")
VIDEO = spec.VideoOptions(n=3, crop=24)
NASTY = "</script><img src=x onerror=alert(1)>'\"&\u2028\U0001f600 <!--"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two data sets: 9 samples of panoramas (one that fails), 6 of video."""
    folder = tmp_path_factory.mktemp("view")
    for number in range(3):
        write_image(folder / "sun360" / f"place {number}.png", make_picture(128, 256, number))
    write_scene(folder / "gopro/train/GOPR0001_11_00", seed=1, frames=6)
    write_scene(folder / "gopro/test/GOPR0003_11_00", seed=3, frames=4)
    make_panoramas(folder / "sun360", folder / "shards")
    make_windows(folder / "gopro", folder / "shards")
    return folder


@pytest.fixture
def copy(original, tmp_path):
    """The same, to be damaged."""
    return shutil.copytree(original / "shards", tmp_path / "shards")


def make_panoramas(src, out, options=PANORAMA, **packing):
    data_set = spec.DataSetOptions(**{"name": "panorama", "samples_per_shard": 4, **packing})
    found, _ = sources.find_panoramas(src, sources.Digests(out.parent / "digests.json"))
    planned = plan.plan_panoramas(out, found, options=options, data_set=data_set, per_panorama=3)
    failures = [shards.Failure(f"{NASTY}.exr", f"not read, {NASTY}")]
    run(planned, making.PanoramaMaker(data_set.name, options), failures)


def make_windows(src, out):
    found, _ = sources.find_scenes(src, sources.Digests(out.parent / "digests.json"))
    data_set = spec.DataSetOptions("gopro", samples_per_shard=3)
    run(plan.plan_windows(out, found, options=VIDEO, data_set=data_set),
        making.WindowMaker("gopro", VIDEO), [])  # fmt: skip


def run(planned, maker, failures):
    generate.generate(planned, maker, run=generate.RunOptions(jobs=1), failures=failures)


def gathered(root, samples=24, seed=0):
    content = view.gather(verify.find_data_sets(root), root, samples=samples, seed=seed)
    return content, {one["name"]: one for one in content["data_sets"]}


def written(root, out, samples=24, seed=0):
    view.write_page(verify.find_data_sets(root), root, out, samples=samples, seed=seed)
    return out.read_bytes()


def data_in(page):
    """What the page's script reads."""
    inside = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page.decode())
    assert len(inside) == 1
    return json.loads(inside[0])


def first_tar(root, split="panorama/train"):
    tar = sorted((root / split).glob("*.tar"))[0]
    return tar, schema.decode_index(tar.with_suffix(".json").read_bytes(), "x")


def rewrite(tar, index):
    files.write_whole(tar.with_suffix(".json"), schema.encode_index(index))


# --- what it says ------------------------------------------------------------------------------


def test_the_page_says_how_many_of_how_many_samples_it_shows(original):
    content, told = gathered(original / "shards", samples=6, seed=3)
    assert content["drawn"] == "6 of 15 samples drawn with seed 3"
    assert sum(len(one["cards"]) for one in told.values()) == 6
    assert told["panorama"]["measured"] == "9 of 9 samples"


def test_samples_are_spread_over_data_sets_and_splits(original):
    _, told = gathered(original / "shards", samples=8)
    counts = {(n, c["split"]) for n, one in told.items() for c in one["cards"]}
    assert len(counts) == 4
    _, told = gathered(original / "shards", samples=200)
    assert [len(told[name]["cards"]) for name in ("panorama", "gopro")] == [9, 6]


def test_every_sample_is_counted_with_its_source_and_split(original):
    _, told = gathered(original / "shards")
    rows = told["panorama"]["sources"]["rows"]
    assert [row[:2] for row in rows] == [[f"place {k}.png", "3"] for k in range(3)]
    assert sorted(row[2] for row in rows) == ["test", "train", "train"]
    splits = {row[0]: row for row in told["panorama"]["splits"]}
    assert splits["train"][1:4] == ["6", "2", "2"] and splits["test"][1:4] == ["3", "1", "1"]
    assert {row[5] for row in splits.values()} == {"finished"}


def test_facts_options_and_failures_are_those_of_the_manifest(original):
    _, told = gathered(original / "shards")
    manifest = json.loads((original / "shards/panorama/train/manifest.json").read_bytes())
    facts = dict(told["panorama"]["facts"])
    assert facts["fingerprint"] == manifest["fingerprint"]
    assert (facts["images"], facts["frames"]) == ("48 × 48 png", "7 beside each blur")
    assert facts["response"] == "identity"
    assert ["camera.size", "48"] in told["panorama"]["options"]["rows"]
    assert told["panorama"]["failures"]["rows"] == [[f"{NASTY}.exr", f"not read, {NASTY}"]]
    assert told["panorama"]["gaps"]["count"] == told["gopro"]["failures"]["count"] == 0


def test_counts_of_the_histograms_sum_to_the_samples_that_are_stated(original):
    _, told = gathered(original / "shards")
    titles = [h["title"] for h in told["panorama"]["histograms"]]
    assert titles == ["|β|", "n", "blur length", "clipped share"]
    assert [h["title"] for h in told["gopro"]["histograms"]] == titles[1:]
    for name, stated in (("panorama", 9), ("gopro", 6)):
        for one in told[name]["histograms"]:
            assert sum(one["counts"]) + one["unknown"] == stated
            assert len(one["edges"]) == len(one["counts"]) + 1


def test_pictures_as_stored_are_the_very_bytes(original):
    _, told = gathered(original / "shards", samples=200)
    tar, index = first_tar(original / "shards")
    card = next(c for c in told["panorama"]["cards"] if c["key"] == index.samples[0].key)
    names = ["blur.png", *(f"frame.{k:03d}.png" for k in range(7))]
    for name, uri in zip(names, [card["blur"], *card["frames"]], strict=True):
        offset, size = index.samples[0].members[name]
        data = tar.read_bytes()[offset : offset + size]
        assert uri == view_sample.data_uri(data, "png")
    assert card["how"] == "" and card["numbers"] == list(range(7)) and card["stored"] == 7


@pytest.mark.parametrize(
    ("image_format", "mime"), [("jpg", "jpeg"), ("webp", "webp"), ("npy", "png")]
)
def test_pictures_of_every_format_are_shown(original, tmp_path, image_format, mime):
    make_panoramas(original / "sun360", tmp_path / "shards", image_format=image_format)
    _, told = gathered(tmp_path / "shards", samples=2)
    for card in told["panorama"]["cards"]:
        uris = [card["blur"], *card["frames"]]
        assert all(uri.startswith(f"data:image/{mime};base64,") for uri in uris)


# --- repeatable and harmless -------------------------------------------------------------------


def test_the_same_shards_give_the_same_bytes_wherever_they_are(original, copy, tmp_path):
    first = written(original / "shards", tmp_path / "a.html")
    assert written(copy, tmp_path / "b.html") == first
    assert written(copy, tmp_path / "c.html", seed=1, samples=4) != first
    assert str(original) not in first.decode()


def test_what_is_drawn_depends_on_seed_and_keys_alone_and_more_adds():
    keys = [f"panorama-{k:016x}-000000" for k in range(500)]
    ones = [
        view_survey.Drawn(view_survey.rank_of(5, key), f"{key}.tar", schema.IndexedSample(key, {}))
        for key in keys
    ]
    ten, thirty = view_survey.lowest(10, ones), view_survey.lowest(30, ones[::-1])
    assert thirty[:10] == ten
    assert view_survey.rank_of(5, keys[0]) != view_survey.rank_of(6, keys[0])
    places = [keys.index(one.sample.key) for one in view_survey.lowest(250, ones)]
    assert 180 < np.mean(places) < 320  # from all over


@pytest.mark.parametrize(
    ("sizes", "total", "shares"),
    [
        ([10, 10, 10], 6, [2, 2, 2]),
        ([10, 1, 10], 7, [3, 1, 3]),
        ([10, 10, 10], 5, [2, 2, 1]),
        ([2, 3], 100, [2, 3]),
        ([5, 5], 0, [0, 0]),
        ([0, 4], 2, [0, 2]),
        ([], 3, []),
    ],
)
def test_a_spread_is_as_even_as_the_sizes_allow(sizes, total, shares):
    assert view_survey.spread(sizes, total) == shares


def test_no_text_of_the_data_can_end_the_script_or_begin_another(copy, tmp_path):
    page = written(copy, tmp_path / "view.html")
    assert page.count(b"</script>") == 2 and b"<img" not in page
    assert data_in(page) == json.loads(json.dumps(gathered(copy)[0]))
    assert NASTY in json.dumps(data_in(page), ensure_ascii=False).replace('\\"', '"')


def test_the_page_asks_for_nothing_from_anywhere(original, tmp_path):
    page = written(original / "shards", tmp_path / "view.html").decode()
    assert "default-src 'none'" in page
    around = re.sub(r"(?s)(?<=json\">).*?(?=</script>)", "", page)
    around = around.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<link|src=", around)


def test_what_the_page_is_made_of_is_part_of_the_package():
    """An editable installation would not tell."""
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for name in ("view.html", "view.css", "view.js"):
        assert f'"{name}"' in project and view._part(name)


# --- bounds ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hundred_thousand(original, tmp_path_factory):
    """400 shards of 250 samples, which all lie at the same place of the same tar."""
    folder = tmp_path_factory.mktemp("many") / "panorama" / "train"
    folder.mkdir(parents=True)
    tar, index = first_tar(original / "shards")
    members = index.samples[0].members
    for number in range(400):
        names = [f"{number:03d}-{k:03d} {'long ' * 200}" for k in range(250)]
        samples = tuple(
            schema.IndexedSample(plan.sample_key("panorama", name, 0), members) for name in names
        )
        path = folder / f"panorama-train-{number:06d}.tar"
        path.hardlink_to(tar)
        rewrite(path, replace(index, tar=path.name, samples=samples, sources=tuple(names)))
    return folder.parent


def test_a_hundred_thousand_samples_are_shown_in_bounded_time_and_size(hundred_thousand, tmp_path):
    began = time.monotonic()
    page = written(hundred_thousand, tmp_path / "view.html")
    assert time.monotonic() - began < 120  # 10 s where this was written
    assert len(page) < 5e6
    content = data_in(page)
    (told,) = content["data_sets"]
    assert content["drawn"] == "24 of 100,000 samples drawn with seed 0"
    assert told["measured"] == "2,000 of 100,000 samples, drawn with the same seed"
    assert sum(told["histograms"][0]["counts"]) == 2000
    table = told["sources"]
    assert (len(table["rows"]), table["count"]) == (200, 100_000)
    assert table["rest_samples"] == ", 99,800 samples"
    assert all(len(row[0]) <= view.MOST_CHARACTERS for row in table["rows"])


def large_sample(frames, side):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (frames, side, side, 3), dtype=np.uint8)
    meta = panorama_meta(frames=frames, size_hw=(side, side))
    return schema.Sample("many-0123456789abcdef-000000", noise[0], noise, meta)


def tar_of(tmp_path, sample, image_format="png"):
    name = shards.ShardName(str(tmp_path), "many", "train", 0)
    shards.write_shard(name, [sample], fingerprint="x", image_format=image_format)
    return first_tar(tmp_path, "many/train")


def test_pictures_that_are_too_many_bytes_are_fewer_and_smaller_and_that_is_said(tmp_path):
    tar, index = tar_of(tmp_path, large_sample(21, 700))
    with open(tar, "rb") as opened:
        cards = [
            view_sample.card(opened, index.samples[0], budget=b) for b in (10**8, 10**6, 2 * 10**5)
        ]
    assert [c["how"] for c in cards] == ["", "shown as JPEG, 3 times smaller",
        "shown as JPEG, 6 times smaller"]  # fmt: skip
    assert cards[0]["numbers"] == [0, 2, 5, 8, 10, 12, 15, 18, 20]
    assert cards[2]["numbers"] == [0, 10, 20] and cards[2]["times"] == [0.0, 0.5, 1.0]
    assert len(cards[1]["blur"]) * (len(cards[1]["frames"]) + 1) < 1.5 * 10**6
    assert all(len(dots) == 3 for dots in cards[2]["dots"])


# --- what is damaged or unfinished -------------------------------------------------------------


def test_an_unfinished_data_set_is_shown_and_said(copy):
    (copy / "panorama/train/manifest.json").unlink()
    tar, _ = first_tar(copy)
    tar.with_suffix(".json").unlink()
    _, told = gathered(copy)
    train, test = told["panorama"]["splits"]
    assert train[1] == "3" and test[5] == "finished"
    assert train[5] == "unfinished: the same command goes on; 1 tar without an index not read"


def test_a_plan_without_a_shard_is_a_data_set_without_samples(copy, tmp_path):
    (tmp_path / "later").mkdir()
    shutil.copy(copy / "gopro/plan.json", tmp_path / "later")
    content, told = gathered(tmp_path / "later")
    assert content["drawn"] == "0 of 0 samples drawn with seed 0"
    assert told["later"]["cards"] == told["later"]["histograms"] == []


def test_a_damaged_shard_is_a_stated_gap_and_the_others_are_shown(copy):
    tar, index = first_tar(copy)
    offset, _ = index.samples[0].members["frame.000.png"]
    data = bytearray(tar.read_bytes())
    data[offset : offset + 60] = bytes(60)
    tar.write_bytes(data)
    first_tar(copy, "panorama/test")[0].unlink()
    (copy / "gopro/train/gopro-train-000000.json").write_text("[" * 100_000)
    (copy / "gopro/plan.json").write_text("[" * 100_000)
    _, told = gathered(copy, samples=200)
    gaps = [" ".join(row) for one in told.values() for row in one["gaps"]["rows"]]
    key = index.samples[0].key
    assert any(f"{tar.name}, {key} member frame.000.png: it does not begin" in g for g in gaps)
    assert any("test-000000.tar panorama-test-000000.tar: No such file" in g for g in gaps)
    assert any("gopro-train-000000.json is not the index of a shard" in g for g in gaps)
    assert any("gopro/plan.json it is damaged" in g for g in gaps)
    assert len(told["panorama"]["cards"]) == 5


def with_meta(tmp_path, **changes):
    """The tar of one sample whose meta.json was changed after it was checked."""
    sample = large_sample(3, 24)
    tar, index = tar_of(tmp_path, sample)
    one = index.samples[0]
    meta = {**sample.meta, **changes}
    data = json.dumps(meta).encode()
    place = tar.stat().st_size
    with open(tar, "ab") as opened:
        opened.write(data)
    members = {**one.members, schema.META_NAME: (place, len(data))}
    return tar, schema.IndexedSample(one.key, members)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size_hw": [1e9, 1e9]}, "tell of"),
        ({"size_hw": ["24", 24]}, "size_hw"),
        ({"focal_px": -1.0}, "expected a camera"),
        ({"quat_first_last": [[0, 0, 0, 0]] * 2}, None),
        ({"quat_wxyz": [[0, 0, 0, 0]] * 3}, None),
        ({"quat_first_last": [[1, 0, 0]]}, "quat_first_last"),
        ({"beta_deg": "many"}, "beta_deg"),
        ({"clipped": None}, "clipped"),
        ({"n": 10**400}, "`n`"),
        ({"xi": 1e90}, None),
        ({"focal_px": 1e-90}, None),
    ],
)
def test_metadata_that_tell_nonsense_are_refused_or_drawn_without_harm(tmp_path, changes, sentence):
    tar, one = with_meta(tmp_path, **changes)
    with open(tar, "rb") as opened:
        try:
            card = view_sample.card(opened, one, budget=10**7)
        except ValueError as error:
            assert sentence is None or sentence in str(error)
        else:
            assert sentence is None
            json.dumps(card, allow_nan=False)


# --- paths -------------------------------------------------------------------------------------


def panorama_meta(
    beta_deg=(6.0, -8.0, 9.0), *, frames=7, size_hw=(36, 52), hfov_deg=60.0, xi=0.0, shift_xy=(0, 0)
):
    """Metadata of a sample whose camera turns by beta; a crop moves the principal point."""
    camera = centred_camera(size_hw, hfov_deg, xi)
    first = quat_looking_at(130.0, 25.0)
    ends = [first.tolist(), multiply(first, quat_from_euler(np.array(beta_deg))).tolist()]
    times = np.linspace(0, 1, frames)
    return {
        "schema": 1,
        "kind": "panorama",
        "source": "a.jpg",
        "n": 13,
        "times": times.tolist(),
        "response": "identity",
        "exact_mean": False,
        "seed": 0,
        "direction": [1.0, 0.0, 0.0],
        "clipped": 0.0,
        "size_hw": list(size_hw),
        "hfov_deg": hfov_deg,
        "xi": xi,
        "focal_px": camera.focal_px,
        "principal_xy": [c + s for c, s in zip(camera.principal_xy, shift_xy, strict=True)],
        "beta_deg": list(beta_deg),
        "quat_wxyz": motion.orientations({"quat_first_last": ends}, times).tolist(),
        "quat_first_last": ends,
        "max_step_px": 1.0,
    }


@pytest.mark.parametrize("xi", [0.0, 0.6, 1.0, 1.4])
def test_a_path_is_at_its_point_in_the_middle_of_the_exposure(xi):
    meta = panorama_meta(xi=xi, shift_xy=(5, -3))
    points = np.array([[26.0, 18.0], [4.0, 30.0]])
    (there,) = view_sample.path(meta, points, np.array([0.5]))
    np.testing.assert_allclose(there, points, atol=1e-9)


@pytest.mark.parametrize("xi", [0.0, 0.6, 1.0, 1.4])
def test_paths_are_where_the_flow_of_the_stored_frames_takes_the_points(xi):
    meta = panorama_meta(xi=xi, shift_xy=(5, -3))
    centres = pixel_centres((36, 52))
    lines = view_sample.path(meta, centres.reshape(-1, 2), np.array(meta["times"]))
    for k in range(7):
        expected = motion.positions(meta, 3, k)
        np.testing.assert_allclose(lines[k].reshape(expected.shape), expected, atol=1e-9)


def test_a_camera_that_turns_right_and_up_moves_the_points_left_and_down():
    meta = panorama_meta((5.0, 5.0, 0.0))
    first, last = view_sample.path(meta, np.array([[26.0, 18.0]]), np.array([0.0, 1.0]))[:, 0]
    assert last[0] < first[0] - 2 and last[1] > first[1] + 2


def test_the_dots_stay_on_what_they_mark_from_the_first_frame_to_the_last(original):
    """In the pictures themselves: the patch under a dot is found under it in the last frame."""
    tar, index = first_tar(original / "shards")
    followed, stayed = [], []
    with open(tar, "rb") as opened:
        for one in index.samples:
            card = view_sample.card(opened, one, budget=10**8)
            sample, _ = read_sample(opened, one)
            for dots in card["dots"]:
                first, last = dots[0], dots[-1]
                if max(map(abs, np.subtract(last, first))) > 2 and inside(first) and inside(last):
                    patch = patch_at(sample.frames[0], first)
                    followed.append(np.abs(patch - patch_at(sample.frames[-1], last)).mean())
                    stayed.append(np.abs(patch - patch_at(sample.frames[-1], first)).mean())
    assert len(followed) > 4
    assert np.mean(followed) < 0.4 * np.mean(stayed)


def inside(point):
    return all(4 < v < 44 for v in point)


def patch_at(image, point_xy):
    """7 x 7 pixels about a place where the centre of the first pixel is (0.5, 0.5)."""
    centre = (point_xy[0] - 0.5, point_xy[1] - 0.5)
    return cv2.getRectSubPix(image, (7, 7), centre).astype(float)


def test_a_point_that_the_camera_loses_leaves_a_gap():
    meta = panorama_meta((0.0, 150.0, 0.0), hfov_deg=100.0)
    lines = view_sample._motion(meta, (36, 52), [0.0, 0.5, 1.0])
    left = lines["dots"][1]
    assert left[0] and left[1] == [6.5, 4.5] and left[2] is None
    assert lines["paths"][1][-1] is None and lines["paths"][1][32] == [6.5, 4.5]
    json.dumps(lines, allow_nan=False)


def test_a_video_has_an_arrow_and_no_path(original):
    _, told = gathered(original / "shards")
    for card in told["gopro"]["cards"]:
        assert "paths" not in card and "dots" not in card
        assert card["arrow"][0] > 0  # the scene moves to the right (conftest.write_scene)


# --- histograms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [0.0, 0.0],
        [1e-9, 2e-9, 5e-9],
        [1e99, -1e99],
        [1e15, 1e15 + 0.25],
        list(np.linspace(-3, 17, 400)),
        list(np.random.default_rng(0).exponential(5, 999)),
    ],
)
def test_a_histogram_holds_every_value_in_round_bins(values):
    one = view_histograms.histogram([*values, float("nan")])
    assert sum(one["counts"]) == len(values) and one["unknown"] == 1
    assert 1 <= len(one["counts"]) <= view_histograms.MOST_BINS
    edges = one["edges"]
    assert edges == sorted(set(edges)) and edges[0] <= min(values) and max(values) <= edges[-1]
    assert np.allclose(np.diff(edges), edges[1] - edges[0])


def test_a_histogram_counts_as_a_loop_would():
    values = np.random.default_rng(1).uniform(2, 15, 300).tolist()
    one = view_histograms.histogram(values)
    pairs = zip(one["edges"], one["edges"][1:], strict=False)
    assert one["counts"] == [sum(low <= v < high for v in values) for low, high in pairs]


def test_odd_numbers_of_frames_fill_neighbouring_bins():
    one = view_histograms.histogram([7, 9, 11, 13, 13], least_width=2.0)
    assert one["counts"] == [1, 1, 1, 2] and one["edges"][0] == 6


def test_a_histogram_of_nothing_known_is_empty():
    one = view_histograms.histogram([float("nan")])
    assert one == {"edges": [], "counts": [], "unknown": 1}


@pytest.mark.parametrize("xi", [0.0, 1.0])
@pytest.mark.parametrize("size_hw", [(36, 52), (240, 320)])
def test_the_blur_length_of_the_coarse_camera_is_that_of_the_camera(xi, size_hw):
    meta = panorama_meta(xi=xi, size_hw=size_hw)
    exact = motion.blur_length_px(meta)
    assert view_histograms.blur_length(meta) == pytest.approx(exact, rel=0.01)
