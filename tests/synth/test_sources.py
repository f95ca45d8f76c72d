"""Laws of finding sources."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from blursynth.sources import Digests, clip_of, find_panoramas, find_scenes

from ..conftest import make_picture, write_image, write_scene


@pytest.fixture
def digests(tmp_path):
    return Digests(tmp_path / "store" / "digests.json")


def test_panoramas_are_found_at_any_depth_sorted_by_posix_name(tmp_path, digests):
    for name in ("b.jpg", "a/z.PNG", "a/deep/er/x.tiff", "c.webp", "notes.txt"):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found, failures = find_panoramas(tmp_path / "src", digests)
    assert [p.name for p in found] == ["a/deep/er/x.tiff", "a/z.PNG", "b.jpg", "c.webp"]
    assert failures == [] and found[2].size_bytes == 5


def test_names_are_in_unicode_nfc_whatever_the_disk_has(tmp_path, digests):
    decomposed = unicodedata.normalize("NFD", "Kölner Dom.jpg")
    (tmp_path / decomposed).write_bytes(b"x")
    found, _ = find_panoramas(tmp_path, digests)
    assert [p.name for p in found] == ["Kölner Dom.jpg"]


def test_unreadable_things_are_failures_and_no_sources(tmp_path, digests):
    src = tmp_path / "src"
    (src / "folder.jpg").mkdir(parents=True)
    (src / "folder.jpg" / "inside.png").write_bytes(b"x")
    (src / "empty.png").write_bytes(b"")
    (src / "light.exr").write_bytes(b"x")
    os.symlink(src / "nowhere", src / "dangling.jpg")
    os.symlink(src, src / "loop")
    found, failures = find_panoramas(src, digests)
    assert [p.name for p in found] == ["folder.jpg/inside.png"]
    assert [f.source for f in failures] == ["dangling.jpg", "empty.png", "light.exr"]


def test_a_folder_of_links_is_a_folder_of_panoramas(tmp_path, digests):
    write_image(tmp_path / "real" / "a.png", make_picture(8, 16))
    os.makedirs(tmp_path / "links")
    for k in range(3):
        os.symlink(tmp_path / "real" / "a.png", tmp_path / "links" / f"{k}.png")
    found, _ = find_panoramas(tmp_path / "links", digests)
    assert len(found) == 3 and len({p.sha256 for p in found}) == 1


def test_a_missing_or_empty_folder_says_what_was_looked_for(tmp_path, digests):
    with pytest.raises(ValueError, match="no such folder"):
        find_panoramas(tmp_path / "nowhere", digests)
    with pytest.raises(ValueError, match=r"expected panoramas \(.jpg .*found none"):
        find_panoramas(tmp_path, digests)
    with pytest.raises(ValueError, match="folders of numbered frames"):
        find_scenes(tmp_path, digests)


def test_digests_are_remembered_until_the_file_changes(tmp_path, digests, monkeypatch):
    path = tmp_path / "src" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"one")
    (before,), _ = find_panoramas(path.parent, digests)
    digests.save()
    again = Digests(tmp_path / "store" / "digests.json")
    monkeypatch.setattr("blursynth.sources.sha256_of", lambda path: "read again")
    (remembered,), _ = find_panoramas(path.parent, again)
    assert remembered == before
    path.write_bytes(b"another")
    (changed,), _ = find_panoramas(path.parent, again)
    assert changed.sha256 == "read again"


def test_scenes_are_folders_of_frames_in_the_order_of_their_numbers(tmp_path, digests):
    folder = tmp_path / "clips" / "one"
    for number in (9, 10, 11, 100):
        write_image(folder / f"frame{number}.png", make_picture(8, 9, number))
    (scene,), _ = find_scenes(tmp_path / "clips", digests)
    assert scene.name == "one" and scene.numbers == (9, 10, 11, 100)
    assert [f.name for f in scene.files] == [f"frame{k}.png" for k in (9, 10, 11, 100)]
    assert scene.size_hw == (8, 9)


def test_two_frames_of_one_number_and_frames_without_are_failures(tmp_path, digests):
    write_scene(tmp_path / "src" / "good", seed=0)
    write_image(tmp_path / "src" / "twice" / "1.png", make_picture(8, 8))
    write_image(tmp_path / "src" / "twice" / "01.png", make_picture(8, 8))
    write_image(tmp_path / "src" / "names" / "left.png", make_picture(8, 8))
    found, failures = find_scenes(tmp_path / "src", digests)
    assert [s.name for s in found] == ["good"]
    reasons = {f.source: f.reason for f in failures}
    assert "number 1" in reasons["twice"] and "left.png" in reasons["names"]


def test_the_sharp_frames_of_gopro_large_are_refused_by_name(tmp_path, digests):
    scene = tmp_path / "train" / "GOPR0372_07_00"
    write_scene(scene / "sharp", seed=0)
    write_scene(scene / "blur", seed=0)
    for src in (tmp_path, scene, scene / "sharp"):
        with pytest.raises(ValueError, match="GOPRO_Large_all"):
            find_scenes(src, digests)


def test_a_video_file_is_a_scene_whose_frames_are_counted(tmp_path, digests):
    import cv2

    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for k in range(12):
        writer.write(make_picture(48, 64, k))
    writer.release()
    for src in (tmp_path, path):
        (scene,), _ = find_scenes(src, digests)
        assert scene.name == "clip.avi" and scene.size_hw == (48, 64)
        assert scene.numbers == tuple(range(12)) and scene.files == ()


def test_what_is_named_like_a_video_and_is_none_is_a_failure(tmp_path, digests):
    write_scene(tmp_path / "good", seed=0)
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    found, failures = find_scenes(tmp_path, digests)
    assert [s.name for s in found] == ["good"] and failures[0].source == "bad.mp4"


@pytest.mark.parametrize(
    "name, clip",
    [
        ("train/GOPR0372_07_00", "GOPR0372"),
        ("GOPR0372_07_01", "GOPR0372"),
        ("walk.mp4", "walk.mp4"),
        ("a/b", "a/b"),
    ],
)
def test_the_clip_of_a_scene(name, clip):
    assert clip_of(name) == clip


def test_a_changed_frame_changes_the_digest_of_its_scene(tmp_path, digests):
    write_scene(tmp_path / "one", seed=0)
    (before,), _ = find_scenes(tmp_path, digests)
    write_image(tmp_path / "one" / "000045.png", np.zeros((72, 96, 3), np.uint8))
    (after,), _ = find_scenes(tmp_path, digests)
    assert before.sha256 != after.sha256


def test_the_spelling_of_src_does_not_matter(tmp_path, digests, monkeypatch):
    write_scene(tmp_path / "clips" / "one", seed=0)
    monkeypatch.chdir(tmp_path / "clips" / "one")
    names = set()
    for src in (".", "../one", str(tmp_path / "clips" / "one"), "../../clips/one/."):
        (scene,), _ = find_scenes(Path(src), digests)
        names.add((scene.name, scene.path))
    assert names == {("one", tmp_path / "clips" / "one")}


@pytest.mark.parametrize("kind", ["sharp", "blur", "blur_gamma"])
def test_no_folder_of_gopro_large_gets_in_by_a_link(tmp_path, digests, kind):
    write_scene(tmp_path / "large" / "GOPR0372_07_00" / kind, seed=0)
    os.symlink(tmp_path / "large" / "GOPR0372_07_00" / kind, tmp_path / "mine")
    with pytest.raises(ValueError, match=f"`{kind}` folder of GOPRO_Large.*GOPRO_Large_all"):
        find_scenes(tmp_path / "mine", digests)
