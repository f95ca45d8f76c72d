"""Where data may be: what reads and checks it wants it on this machine, and says so."""

import os

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "s3://bucket/x"),
        ("verify", "s3://bucket/x"),
        ("view", "s3://bucket/x"),
        ("export", "s3://bucket/x", "set.h5"),
        ("import", "s3://bucket/set.h5", "shards"),
        ("sources", "--out", "s3://bucket/x"),
        ("panorama", "--src", "https://host/sun360"),
    ],
)
def test_a_url_where_a_local_place_is_wanted_is_a_mistake(blursynth, arguments):
    code, _, err = blursynth(*arguments)
    assert code == 2 and "expected a local folder, found" in err and "Traceback" not in err


@pytest.mark.parametrize("inside", ["shards/panorama", "shards/panorama/train", "linked/deep/er"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("view", "shards", "--out", "INSIDE/view.html"),
        ("export", "shards", "INSIDE/set.h5"),
        ("import", "set.h5", "INSIDE"),
        ("sources", "--out", "INSIDE"),
        ("panorama", "--src", "sun360", "--out", "INSIDE"),
    ],
)
def test_nothing_else_is_written_into_the_folder_of_a_data_set(
    blursynth, sun360, tmp_path, monkeypatch, arguments, inside
):
    """There it would be taken for a foreign file, or be thrown away by --overwrite."""
    monkeypatch.chdir(tmp_path)
    make = ("panorama", "--src", sun360, "--out", "shards", "--size", 16, "--per-panorama", 1)
    assert blursynth(*make, "--jobs", 1)[0] == blursynth("export", "shards", "set.h5")[0] == 0
    (tmp_path / "linked").symlink_to("shards/panorama/test")
    before = sorted((tmp_path / "shards").rglob("*"))
    code, out, err = blursynth(*(word.replace("INSIDE", inside) for word in arguments))
    assert (code, out) == (2, "") and "outside of the folder of a data set, found" in err
    assert "shards/panorama, which has a plan.json; put it elsewhere" in err
    assert sorted((tmp_path / "shards").rglob("*")) == before
    assert blursynth(*make, "--jobs", 1, "--overwrite")[0] == 0


def test_beside_the_folders_of_data_sets_all_is_allowed(blursynth, sun360, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make = ("panorama", "--src", sun360, "--out", "shards", "--size", 16, "--per-panorama", 1)
    for command in (
        (*make, "--jobs", 1),
        ("view", "shards", "--out", "shards/view.html"),
        ("export", "shards", "shards/set.h5"),
        ("import", "shards/set.h5", "shards"),
        (*make, "--jobs", 1),
    ):
        assert blursynth(*command)[0] == 0


def test_folders_may_have_names_that_are_not_utf_8(blursynth, sun360, tmp_path):
    src, out = (tmp_path / os.fsdecode(name) for name in (b"caf\xe9", b"th\xe9"))
    sun360.rename(src)
    arguments = ("--size", 16, "--per-panorama", 1, "--jobs", 1)
    assert blursynth("panorama", "--src", src, "--out", out, *arguments)[0] == 0
    assert rf"{tmp_path}/caf\xe9" in (out / "panorama/train/README.md").read_text()
    assert blursynth("verify", out)[0] == 0
