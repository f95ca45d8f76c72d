"""Laws of shards: whole or not at all, the same bytes, standard tars."""

import json
import tarfile

import numpy as np
import pytest
import webdataset

from blursynth import schema
from blursynth.shards import Failure, ShardName, finished_index, write_shard

from ..conftest import make_sample


def samples(count=3, m=3):
    return [make_sample(f"clip-0123456789abcdef-{k:06d}", m=m) for k in range(count)]


def write(folder, results, image_format="png"):
    name = ShardName(str(folder), "clip", "train", 0)
    return name, write_shard(name, results, fingerprint="f", image_format=image_format)


@pytest.mark.parametrize("image_format", schema.FORMATS)
def test_stock_webdataset_reads_what_was_written(tmp_path, image_format):
    name, _ = write(tmp_path, samples(), image_format)
    read = list(webdataset.WebDataset(str(name.tar), shardshuffle=False, empty_check=False))
    assert [s["__key__"] for s in read] == [s.key for s in samples()]
    for got, sample in zip(read, samples(), strict=True):
        exact = image_format != "jpg"
        assert json.loads(got["meta.json"]) == {**sample.meta, "exact_mean": exact}
        blur = schema.decode_image(got[f"blur.{image_format}"], image_format)
        assert image_format == "jpg" or np.array_equal(blur, sample.blur)


def test_the_index_says_where_each_member_lies(tmp_path):
    name, index = write(tmp_path, samples(m=7))
    data = name.tar.read_bytes()
    assert index.tar_bytes == len(data) and index.size_hw == (24, 32)
    for indexed, sample in zip(index.samples, samples(m=7), strict=True):
        members = {m: data[at : at + size] for m, (at, size) in indexed.members.items()}
        again = schema.decode_sample(indexed.key, members)
        assert indexed.key == sample.key and indexed.frame_count == 7
        assert np.array_equal(again.frames, sample.frames)


def test_an_index_survives_encoding_and_decoding(tmp_path):
    name, index = write(tmp_path, [*samples(), Failure("bad.jpg", "it cannot be read")])
    assert schema.decode_index(name.index.read_bytes(), "x") == index
    assert index.failures == (("bad.jpg", "it cannot be read"),)
    with pytest.raises(ValueError, match="expected schema 1, found 7"):
        schema.decode_index(name.index.read_bytes().replace(b'"schema": 1', b'"schema": 7'), "x")
    with pytest.raises(ValueError, match="not the index"):
        schema.decode_index(b"{}", "x")
    with pytest.raises(ValueError, match="damaged"):
        schema.decode_index(b'{"schema": 1, "samples": []}', "x")


def test_the_same_samples_give_the_same_bytes(tmp_path):
    one, other = (write(tmp_path / folder, samples())[0] for folder in "ab")
    assert one.tar.read_bytes() == other.tar.read_bytes()
    assert one.index.read_bytes() == other.index.read_bytes()
    with tarfile.open(one.tar) as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uname, m.gname, m.uid) for m in members} == {(0, "blursynth", "blursynth", 0)}
    assert [m.name for m in members] == sorted(m.name for m in members)


def test_pixel_digests_do_not_depend_on_the_format(tmp_path):
    digests = {f: write(tmp_path / f, samples(), f)[1].pixels_sha256 for f in schema.FORMATS}
    assert digests["png"] == digests["webp"] == digests["npy"] != digests["jpg"]


def test_an_error_in_the_middle_leaves_nothing(tmp_path):
    def breaking():
        yield from samples()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, breaking())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_shard_is_finished_only_with_tar_and_index_of_this_fingerprint(tmp_path):
    name, index = write(tmp_path, samples())
    assert finished_index(name, "f") == index
    assert finished_index(name, "another") is None
    whole = name.tar.read_bytes()
    name.tar.write_bytes(whole[:-512])
    assert finished_index(name, "f") is None
    name.tar.write_bytes(whole)
    name.index.unlink()
    assert finished_index(name, "f") is None


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: f.update(size_hw=["a", "b"]),
        lambda f: f.update(size_hw=[5]),
        lambda f: f.update(tar_bytes="x"),
        lambda f: f.update(data_set={}),
        lambda f: f["samples"][0]["members"].update({"blur.png": [0, 10**15]}),
        lambda f: f["samples"][0]["members"].update({"blur.png": [-1, 10]}),
        lambda f: f.update(samples=7),
        lambda f: f.pop("fingerprint"),
    ],
)
def test_an_index_damaged_by_hand_is_a_sentence(tmp_path, harm):
    name, _ = write(tmp_path, samples())
    fields = json.loads(name.index.read_bytes())
    harm(fields)
    with pytest.raises(ValueError, match="clip-train-000000.json is damaged"):
        schema.decode_index(json.dumps(fields).encode(), str(name.index))
