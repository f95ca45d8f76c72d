"""A plain tar is indexed on first use, and as well as if blursynth had written its index."""

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from blursynth.schema import encode_image
from blurvid import plain
from blurvid.index import find_mixture
from blurvid.stream import read_samples

TAR = "dots/train/dots-train-000000.tar"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of kept indices."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "blurvid" / "indices"


@pytest.fixture
def folder(tmp_path, write_data_set):
    """Two tars of blursynth without any trace of it."""
    folder = write_data_set(tmp_path / "shards", "dots", "train", [2, 3], size_hw=(32, 48))
    for path in folder.glob("*/*/*.json"):
        path.unlink()
    return folder


def _find(folder):
    return find_mixture(folder, split="train", frames=3)


def test_an_index_made_here_says_what_that_of_blursynth_says(tmp_path, write_data_set, folder):
    own = write_data_set(tmp_path / "own", "dots", "train", [2, 3], size_hw=(32, 48))
    of_blursynth = _find(own)
    mixture = _find(folder)
    assert mixture.data_sets[0].name == "dots" and mixture.size_hw == of_blursynth.size_hw
    for mine, own in zip(mixture.shards, of_blursynth.shards, strict=True):
        assert mine.tar.name == own.tar.name and mine.samples == own.samples
    pairs = (read_samples(m, range(5)) for m in (mixture, of_blursynth))
    for one, other in zip(*pairs, strict=True):
        assert np.array_equal(one.frames, other.frames) and one.meta == other.meta


def test_the_folder_of_one_plain_data_set_is_read_under_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder / "dots")
    for same in (Path(), Path("train/..")):
        assert _find(same).data_sets[0].name == "dots"


def test_the_fingerprint_of_a_plain_data_set_follows_its_bytes(folder):
    before = _find(folder).data_sets[0].fingerprint
    (folder / TAR).rename(folder / "dots/train/a.tar")
    assert _find(folder).data_sets[0].fingerprint == before
    (folder / "dots/train/a.tar").unlink()
    assert _find(folder).data_sets[0].fingerprint != before


def test_hidden_tars_are_not_read(folder):
    (folder / "dots/train/.half.tar").write_bytes(b"x")
    assert _find(folder).sample_count == 5


@pytest.mark.parametrize("made_by", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_dialect_of_tar_is_read(folder, made_by):
    again = folder / "again.tar"
    with tarfile.open(folder / TAR) as old, tarfile.open(again, "w", format=made_by) as new:
        for member in old:
            member.mtime = 1.5  # in PAX a header of its own
            new.addfile(member, old.extractfile(member))
    again.replace(folder / TAR)
    assert len(list(read_samples(_find(folder), range(5)))) == 5


@pytest.mark.parametrize("made_by", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("key", ["x" * 150, "prüfung", "ü" * 90])
def test_keys_may_be_long_and_in_any_letters(folder, made_by, key):
    again = folder / "again.tar"
    with tarfile.open(folder / TAR) as old, tarfile.open(again, "w", format=made_by) as new:
        for member in old:
            member.name = member.name.replace("dots-000000", key)
            new.addfile(member, old.extractfile(member))
    again.replace(folder / TAR)
    assert next(read_samples(_find(folder), [0])).key == key


# --- the cache -----------------------------------------------------------------------------


def _refused(tar):
    raise AssertionError(f"{tar} was read again")


def test_a_tar_is_indexed_once(folder, cache, monkeypatch):
    before = _find(folder)
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(plain, "index_plain_tar", _refused)
    assert _find(folder) == before


def test_a_tar_that_changed_is_indexed_anew(folder):
    _find(folder)
    shutil.copy(folder / TAR.replace("0.tar", "1.tar"), folder / TAR)
    (folder / TAR.replace("0.tar", "1.tar")).unlink()
    assert _find(folder).sample_count == 3


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b"blur.png", b"blur.pkl"),
        lambda data: data.replace(b"dots-000000", b"../dots-000"),
        lambda data: data.replace(b'"tar_bytes": ', b'"tar_bytes": 1'),
    ],
)
def test_a_damaged_kept_index_is_made_anew(folder, cache, harm):
    before = _find(folder)
    whole = {path: path.read_bytes() for path in cache.iterdir()}
    for path, data in whole.items():
        path.write_bytes(harm(data))
    assert _find(folder) == before
    assert {path: path.read_bytes() for path in cache.iterdir()} == whole


def test_without_a_place_for_it_an_index_is_made_each_time(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _find(folder) == _find(folder)


def test_what_is_not_whole_is_not_kept(folder, cache):
    os.truncate(folder / TAR, 2000)
    with pytest.raises(ValueError, match="000000.tar: the tar is cut short at byte 2000"):
        _find(folder)
    assert not cache.exists() or not list(cache.iterdir())


def test_the_size_of_a_jpeg_is_found_behind_a_long_comment(tmp_path):
    jpg = encode_image(np.zeros((24, 40, 3), np.uint8), "jpg")
    comment = b"\xff\xfe" + (60_000).to_bytes(2, "big") + bytes(59_998)
    path = tmp_path / "a.tar"
    path.write_bytes(jpg[:2] + comment + jpg[2:])
    sample = plain.IndexedSample("a", {"blur.jpg": (0, path.stat().st_size)})
    with plain._Headers(path) as file:
        assert plain._blur_size(file, sample) == (24, 40)
