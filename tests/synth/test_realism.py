"""Shaken, interpolated and noisy data sets: made by any jobs, verified, drawn anew; and those made
before there were such options."""

import json
from dataclasses import replace

import numpy as np
import pytest

from blursynth import making, manifest, metadata, rerender, spec, verify
from blursynth.options import left_out, options_from_dict, options_to_dict
from blursynth.schema import decode_index, encode_json

from ..conftest import make_sample
from . import test_generate, test_verify

NOISE = spec.Noise(0.02, 0.03)
PANORAMA = spec.PanoramaOptions(
    camera=spec.CameraOptions(size=16, noise=NOISE),
    rotation=spec.RotationOptions(path="shake", max_step_px=0.7),
    frames="7",
    response="srgb",
)
SENSOR = replace(PANORAMA, clip="sensor")
VIDEO = spec.VideoOptions(n=3, crop=24, response="gamma2.2", blur=spec.BlurOptions(2, NOISE))


@pytest.fixture
def folder(sun360, gopro, tmp_path):
    """Two data sets with everything on, and their sources."""
    test_verify.make_panoramas(sun360, tmp_path / "shards", PANORAMA)
    test_verify.make_panoramas(sun360, tmp_path / "shards", SENSOR, name="sensor")
    test_verify.make_windows(gopro, tmp_path / "shards", VIDEO)
    return tmp_path


def redrawn(folder, src, count=6):
    return test_verify.redrawn(folder, src, count)


def test_they_are_intact_and_drawn_anew_exactly(folder):
    assert test_verify.lines(folder / "shards") == []
    for src, count in (("sun360", 12), ("gopro", 8)):
        found = redrawn(folder, src, count)
        assert (found.samples, found.tolerance, found.faults) == (count, 0, ())


def test_one_code_of_noise_that_differs_is_found(folder, monkeypatch):
    """Drawn anew with another stream, the blur is another."""
    stream = making.noise_generator
    monkeypatch.setattr(
        making,
        "noise_generator",
        lambda seed, source, number: stream(seed + 1, source, number),
    )
    assert "drawn anew it differs by up to" in str(redrawn(folder, "sun360").faults[0])


def test_on_another_processor_noise_is_not_held_against_the_blur(folder, monkeypatch):
    """Where codes may differ by 1, all noise behind one of them may; the frames are compared."""
    for split in ("train", "test"):
        path = folder / "shards/gopro" / split / "manifest.json"
        told = json.loads(path.read_bytes())
        told.pop("sha256")
        told["run"]["machine"]["processor"] = "abacus"
        path.write_bytes(manifest.encode_manifest(told))
    stream = making.noise_generator
    monkeypatch.setattr(
        making,
        "noise_generator",
        lambda seed, source, number: stream(seed + 1, source, number),
    )
    found = redrawn(folder, "gopro")
    assert found.tolerance == 1 and found.faults == ()
    stored, drawn = make_sample(), make_sample()
    stored.meta["read_noise"] = 0.1
    other = replace(drawn, frames=drawn.frames ^ 2)
    assert "differs by up to 2" in rerender._differing(stored, other, 1)
    blurred = replace(drawn, blur=drawn.blur ^ 2)
    assert rerender._differing(stored, blurred, 1) == ""
    assert "differs by up to 2" in rerender._differing(stored, blurred, 0)


def test_jobs_do_not_change_the_bytes(sun360, tmp_path):
    for jobs in (1, 2):
        test_generate.make(sun360, tmp_path / str(jobs), options=PANORAMA, jobs=jobs)
    one, other = (test_generate.made_bytes(tmp_path / name) for name in ("1", "2"))
    assert one == other and sum(name.endswith(".tar") for name in one) == 3


# --- options of other times ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, options", [("panorama", PANORAMA), ("panorama", SENSOR), ("video", VIDEO)]
)
def test_options_survive_the_way_through_json(kind, options):
    stored = json.loads(encode_json(options_to_dict(options, spec.DataSetOptions("x"))))
    assert options_from_dict(kind, stored) == options


@pytest.mark.parametrize(
    "kind, options", [("panorama", spec.PanoramaOptions()), ("video", spec.VideoOptions())]
)
def test_options_that_are_off_are_not_told_so_that_older_data_sets_stay_the_same(kind, options):
    told = options_to_dict(options, spec.DataSetOptions("x"))
    assert not {"blur", "noise", "path"} & (
        told.keys() | told.get("camera", {}).keys() | told.get("rotation", {}).keys()
    )
    assert options_from_dict(kind, json.loads(encode_json(told))) == options
    off = {"read": 0.0, "shot": 0.0}
    assert left_out(kind, told) == {
        "panorama": {"camera": {"noise": off}, "rotation": {"path": "slerp"}},
        "video": {"blur": {"interpolate": 0, "noise": off}},
    }[kind]


def test_a_manifest_tells_every_option_once(sun360, tmp_path):
    for name, options in (("off", spec.PanoramaOptions()), ("on", PANORAMA)):
        test_verify.make_panoramas(sun360, tmp_path / name, options)
        path = next((tmp_path / name).rglob("train/manifest.json"))
        told = json.loads(path.read_bytes())
        both = [told["options"], told["options_left_out"]]
        assert [("path" in one.get("rotation", {})) for one in both] == [name == "on", name == "off"]
        assert told["options_left_out"] == left_out("panorama", told["options"])


OLD_PANORAMA = {
    "camera": {"size": 16, "render_size": None, "hfov_deg": 60.0, "xi": 0.0},
    "rotation": {"max_angle_deg": 10.0, "c": 7.0, "slope": 1.0, "max_step_px": None},
    **{"frames": "3", "response": "identity", "exposure": "auto", "clip": "frame"},
    **{"quality": "default", "seed": 0, "name": "panorama", "samples_per_shard": 4},
    **{"image_format": "png", "test_fraction": 0.11, "train_total": None, "test_total": None},
    **{"limit": None, "per_panorama": 3},
}


def test_a_data_set_made_before_is_resumed_and_drawn_anew(sun360, tmp_path):
    """Its plan holds exactly the options that there were; the same command finds them unchanged."""
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16))
    test_verify.make_panoramas(sun360, tmp_path / "shards", options)
    plan_path = tmp_path / "shards/panorama/plan.json"
    assert json.loads(plan_path.read_bytes())["options"] == OLD_PANORAMA
    before = test_generate.made_bytes(tmp_path / "shards")
    next((tmp_path / "shards").rglob("*test-000000.json")).unlink()
    test_verify.make_panoramas(sun360, tmp_path / "shards", options)
    assert test_generate.made_bytes(tmp_path / "shards") == before
    assert redrawn(tmp_path, "sun360", 12).faults == ()


def test_a_resume_with_other_realism_is_refused_by_name(sun360, tmp_path):
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16))
    test_generate.make(sun360, tmp_path, options=options)
    shaken = replace(options, rotation=spec.RotationOptions(path="shake"))
    with pytest.raises(ValueError, match="option rotation.path was None and is 'shake'"):
        test_generate.make(sun360, tmp_path, options=shaken)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: spec.RotationOptions(path="walk"), "--path slerp or shake, found walk"),
        (lambda: spec.BlurOptions(interpolate=-1), "--interpolate from 0 to 63, found -1"),
        (lambda: spec.BlurOptions(interpolate=64), "--interpolate from 0 to 63, found 64"),
    ],
)
def test_impossible_options_are_refused_at_birth(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, good, bad",
    [
        ("interpolated", 3, [0, -1, 1.0, True, "1"]),
        ("read_noise", 0.02, [-0.1, 1.1, "0.02", None, float("nan"), [0.02]]),
        ("shot_noise", 1, [-0.1, 1.1, "0.02", None, float("inf")]),
        ("shake_deg", [[0.0, 1, -2.0]], [[[0.0, 1.0]], [0.0, 1.0], "x", [[0, 0, float("nan")]]]),
    ],
)
def test_what_is_said_of_them_is_checked(name, good, bad):
    meta = make_sample().meta
    metadata.check_meta("k", {**meta, name: good}, frames=3)
    for value in bad:
        with pytest.raises(ValueError, match=f"sample k: expected `{name}` to be"):
            metadata.check_meta("k", {**meta, name: value}, frames=3)


def test_the_statistics_of_a_shard_count_interpolated_frames(folder):
    (path, *_) = sorted((folder / "shards/gopro/train").glob("gopro-*.json"))
    index = decode_index(path.read_bytes(), "x")
    assert index.statistics["n"]["min"] == index.statistics["n"]["max"] == 7
    found = verify.verify(verify.find_data_sets(folder / "shards"), folder / "shards", jobs=1)
    assert found.faults == () and np.isfinite(found.samples)
