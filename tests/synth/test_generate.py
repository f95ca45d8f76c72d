"""Laws of a run: the same bytes however it was made, failures are data, nothing finished is lost."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from blursynth import generate, info, making, plan, sources, spec
from blursynth.manifest import DIGESTS_NAME
from blursynth.render import render_sample
from blursynth.schema import decode_index, decode_sample

from ..conftest import make_picture, write_image

OPTIONS = spec.PanoramaOptions(camera=spec.CameraOptions(size=16))
PACKING = spec.DataSetOptions("panorama", samples_per_shard=6)


def make(src, out, *, options=OPTIONS, packing=PACKING, **run):
    digests = sources.Digests(out / packing.name / DIGESTS_NAME)
    found, failures = sources.find_panoramas(src, digests)
    planned = plan.plan_panoramas(out, found, options=options, data_set=packing, per_panorama=3)
    maker = making.PanoramaMaker(packing.name, options)
    return generate.generate(
        planned, maker, run=generate.RunOptions(**{"jobs": 1, **run}), failures=failures
    )


def made_bytes(out):
    """Every file that repeats to the byte, by its place."""
    files = [*out.rglob("*.tar"), *out.rglob("*.json")]
    kept = [f for f in files if f.name not in ("manifest.json", DIGESTS_NAME)]
    return {f.relative_to(out).as_posix(): f.read_bytes() for f in kept}


def samples_in(out):
    found = {}
    for path in out.rglob("*-*.json"):
        index, data = decode_index(path.read_bytes(), "x"), path.with_suffix(".tar").read_bytes()
        for one in index.samples:
            members = {name: data[at : at + size] for name, (at, size) in one.members.items()}
            found[one.key] = decode_sample(one.key, members)
    return found


def test_jobs_do_not_change_the_bytes(sun360, tmp_path):
    make(sun360, tmp_path / "one", jobs=1)
    make(sun360, tmp_path / "two", jobs=2)
    one = made_bytes(tmp_path / "one")
    assert one == made_bytes(tmp_path / "two")
    assert sum(name.endswith(".tar") for name in one) == 3


def test_a_finished_run_is_not_made_again(sun360, tmp_path):
    make(sun360, tmp_path / "out")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "out").rglob("*.*") if f.is_file()}
    again = make(sun360, tmp_path / "out")
    assert again.made_samples == 0 and sum(len(i.samples) for i in again.indexes) == 12
    assert before == {f: f.stat().st_mtime_ns for f in before}


def test_only_shards_without_an_index_are_made_again(sun360, tmp_path):
    make(sun360, tmp_path / "out")
    before = made_bytes(tmp_path / "out")
    lost = sorted((tmp_path / "out").rglob("*train-000001.*"))
    lost[0].unlink()
    (tmp_path / "out" / "panorama" / "train" / ".x.tar.partial").write_bytes(b"half")
    again = make(sun360, tmp_path / "out")
    assert again.made_samples == 3 and made_bytes(tmp_path / "out") == before
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_new_source_changes_no_other_pixel(sun360, tmp_path):
    make(sun360, tmp_path / "before")
    write_image(sun360 / "a new place.png", make_picture(128, 256, 9))
    make(sun360, tmp_path / "after")
    before, after = samples_in(tmp_path / "before"), samples_in(tmp_path / "after")
    assert len(after) == len(before) + 3
    for key, sample in before.items():
        assert np.array_equal(sample.blur, after[key].blur)
        assert np.array_equal(sample.frames, after[key].frames) and sample.meta == after[key].meta


def test_an_unreadable_source_among_good_ones_is_reported_and_skipped(sun360, tmp_path):
    (sun360 / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    write_image(sun360 / "square.png", make_picture(64, 64))
    (sun360 / "empty.png").write_bytes(b"")
    result = make(sun360, tmp_path / "out")
    reasons = {f.source: f.reason for f in result.failures}
    assert sorted(reasons) == ["broken.jpg", "empty.png", "square.png"]
    assert "twice as wide as high" in reasons["square.png"]
    assert sum(len(index.samples) for index in result.indexes) == 12
    manifest = json.loads((tmp_path / "out/panorama/train/manifest.json").read_bytes())
    assert sorted(source for source, _ in manifest["failures"]) == sorted(reasons)
    assert "square.png" in info.describe(tmp_path / "out")


def test_too_many_failures_stop_the_run_and_keep_what_is_finished(sun360, tmp_path):
    for k in range(4):
        write_image(sun360 / f"zz square {k}.png", make_picture(64, 64))
    with pytest.raises(generate.RunStopped, match="4 sources failed, more than the 3"):
        make(sun360, tmp_path / "out")
    assert len(samples_in(tmp_path / "out")) >= 6
    assert make(sun360, tmp_path / "out", max_failures=4).failures


def test_no_sample_at_all_stops_the_run(tmp_path):
    write_image(tmp_path / "src" / "square.png", make_picture(64, 64))
    with pytest.raises(generate.RunStopped, match="no source gave a sample.*square.png"):
        make(tmp_path / "src", tmp_path / "out")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"options": replace(OPTIONS, seed=1)}, "option seed was 0 and is 1"),
        ({"options": replace(OPTIONS, camera=spec.CameraOptions(size=24))}, "camera.size was 16"),
        ({"packing": replace(PACKING, samples_per_shard=9)}, "samples_per_shard was 6 and is 9"),
    ],
)
def test_a_resume_with_other_options_is_refused_by_name(sun360, tmp_path, change, words):
    make(sun360, tmp_path / "out")
    before = made_bytes(tmp_path / "out")
    with pytest.raises(ValueError, match=words):
        make(sun360, tmp_path / "out", **change)
    assert made_bytes(tmp_path / "out") == before
    assert make(sun360, tmp_path / "out", overwrite=True, **change).made_samples == 12


def test_a_resume_with_other_sources_is_refused_by_name(sun360, tmp_path):
    make(sun360, tmp_path / "out")
    write_image(sun360 / "new.png", make_picture(128, 256, 9))
    with pytest.raises(ValueError, match=r"1 source is new \(new.png\)"):
        make(sun360, tmp_path / "out")
    (sun360 / "new.png").unlink()
    write_image(sun360 / "place 1.png", make_picture(128, 256, 9))
    with pytest.raises(ValueError, match=r"1 source is changed \(place 1.png\)"):
        make(sun360, tmp_path / "out")


def test_a_folder_with_something_else_in_it_is_left_alone(sun360, tmp_path):
    (tmp_path / "out" / "panorama").mkdir(parents=True)
    (tmp_path / "out" / "panorama" / "thesis.tex").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="thesis.tex"):
            make(sun360, tmp_path / "out", overwrite=overwrite)


def test_the_manifest_holds_what_the_indexes_hold(sun360, tmp_path):
    result = make(sun360, tmp_path / "out")
    for split in ("train", "test"):
        manifest = json.loads((tmp_path / "out/panorama" / split / "manifest.json").read_bytes())
        those = [index for index in result.indexes if index.split == split]
        assert [s["tar_sha256"] for s in manifest["shards"]] == [i.tar_sha256 for i in those]
        assert manifest["totals"]["samples"] == sum(len(i.samples) for i in those)
        assert manifest["options"]["rotation"]["max_angle_deg"] == 10.0
        assert manifest["options"]["seed"] == 0 and manifest["options"]["samples_per_shard"] == 6
        assert all(manifest["fingerprint"] == i.fingerprint for i in those)
        assert manifest["statistics"]["n"]["count"] == manifest["totals"]["samples"]


def test_progress_ends_at_the_number_of_samples(sun360, tmp_path):
    digests = sources.Digests(tmp_path / "digests.json")
    found, _ = sources.find_panoramas(sun360, digests)
    planned = plan.plan_panoramas(
        tmp_path, found, options=OPTIONS, data_set=PACKING, per_panorama=3
    )
    told = []
    generate.generate(
        planned,
        making.PanoramaMaker("panorama", OPTIONS),
        run=generate.RunOptions(jobs=1),
        failures=[],
        on_progress=told.append,
    )
    assert told[-1] == 12 and told == sorted(told)


def test_a_shard_holds_what_its_specs_render(sun360, tmp_path):
    make(sun360, tmp_path / "out")
    found = samples_in(tmp_path / "out")
    level = making.load_level(sun360 / "place 2.png", OPTIONS)
    for k in range(3):
        one = plan.panorama_spec("panorama", "place 2.png", k, OPTIONS)
        assert np.array_equal(render_sample(one, level, OPTIONS).frames, found[one.key].frames)


def test_the_library_of_pictures_runs_on_one_thread_in_a_job(sun360, tmp_path):
    make(sun360, tmp_path / "out")
    assert cv2.getNumThreads() == 1
