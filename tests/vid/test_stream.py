"""Samples come as planned, whoever decodes them; damage is named."""

import json
import os
import pickle

import numpy as np
import pytest
import torch

from blurvid.index import find_mixture
from blurvid.order import Order
from blurvid.stream import MAX_OPEN_FILES, ShardFiles, read_batches, read_samples

TAR = "dots/train/dots-train-000001.tar"


@pytest.fixture
def mixture(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [3, 4, 2], frames=7, size_hw=(16, 40))
    return find_mixture(tmp_path, split="train", frames=3)


def _whole(samples, batch):
    return batch.epoch, [(sample.key, sample.blur, sample.frames) for sample in samples]


def _keys(samples, batch):
    return [sample.key for sample in samples]


def _refused(samples, batch):
    raise ValueError(f"sample {next(samples).key} refused")


def _read(mixture, *, workers=0, start=0, stop=8, collate=_whole):
    order = Order(mixture.shard_sizes, batch=2, seed=0)
    batches = order.batches(start, stop)
    read = read_batches(mixture, batches, collate=collate, workers=workers)
    return [delivery.made for delivery in read if not _refuse(delivery.refused)]


def _refuse(sentences):
    for sentence in sentences:
        raise ValueError(sentence)


def test_the_stream_gives_the_wanted_frames_of_each_sample(mixture, make_sample):
    for number, sample in enumerate(read_samples(mixture, range(mixture.sample_count))):
        written = make_sample(number, frames=7, size_hw=(16, 40))
        assert sample.key == written.key
        assert np.array_equal(sample.blur, written.blur)
        assert np.array_equal(sample.frames, written.frames[[0, 3, 6]])
        assert sample.meta["times"] == [0, 0.5, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_neither_order_nor_content(mixture, workers):
    for (epoch, here), (other, there) in zip(
        _read(mixture), _read(mixture, workers=workers), strict=True
    ):
        assert epoch == other
        for one, two in zip(here, there, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_start_at_step_k_is_the_tail_of_the_whole(mixture, workers):
    whole = _read(mixture, collate=_keys)
    assert len({key for batch in whole[:4] for key in batch}) == 8
    assert _read(mixture, start=3, workers=workers, collate=_keys) == whole[3:]


def test_a_stream_draws_nothing_from_the_global_generator(mixture):
    before = torch.get_rng_state()
    _read(mixture)
    assert torch.equal(torch.get_rng_state(), before)


def _flip(path, offset, value=0):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes([value]))


def _break_image(folder, members):
    _flip(folder / TAR, members["frame.003.png"][0])


def _break_meta(folder, members):
    _flip(folder / TAR, members["meta.json"][0], ord("x"))


def _cut(folder, members):
    os.truncate(folder / TAR, members["frame.006.png"][0] + 1)


def _remove(folder, members):
    (folder / TAR).unlink()


DAMAGES = [
    (_break_image, "dots-000003, member frame.003.png: it does not begin as a png"),
    (_break_meta, "dots-000003: its meta.json is not JSON"),
    (_cut, "dots-000003: expected [0-9]+ bytes at byte [0-9]+, found [0-9]+"),
    (_remove, "dots-000003: No such file"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES)
def test_damage_is_named_by_tar_and_key(mixture, tmp_path, damage, sentence):
    damage(tmp_path, mixture.locate(3)[1].members)
    with pytest.raises(ValueError, match=f"000001.tar: sample {sentence}"):
        next(read_samples(mixture, [3]))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_sentence_of_a_worker_arrives_as_it_was_said(mixture, tmp_path, workers):
    _break_meta(tmp_path, mixture.locate(3)[1].members)
    with pytest.raises(ValueError) as caught:
        _read(mixture, workers=workers)
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / TAR}: sample dots-000003: its meta.json")
    assert "Traceback" not in sentence and "\n" not in sentence


@pytest.mark.parametrize("workers", [0, 1])
def test_what_the_collation_refuses_arrives_likewise(mixture, workers):
    with pytest.raises(ValueError, match="^sample [^ ]* refused$"):
        _read(mixture, workers=workers, collate=_refused)


def _reindex(folder, change):
    path = (folder / TAR).with_suffix(".json")
    index = json.loads(path.read_text())
    change(index["samples"][0]["members"])
    path.write_text(json.dumps(index))
    return find_mixture(folder, split="train", frames=3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda members: members.pop("frame.003.png"), "member frame.003.png is missing"),
        (lambda members: members.pop("blur.png"), "expected one member blur"),
        (lambda members: members.pop("meta.json"), "member meta.json is missing"),
        (lambda members: members.update({"code.pkl": [0, 1]}), "does not list: .*code.pkl"),
    ],
)
def test_members_that_are_missing_or_unknown_are_refused(mixture, tmp_path, change, sentence):
    with pytest.raises(ValueError, match=f"000001.json: sample dots-000003: .*{sentence}"):
        _reindex(tmp_path, change)


def test_only_a_few_tars_stay_open_and_none_after_closing(tmp_path):
    paths = [tmp_path / f"{i}.tar" for i in range(MAX_OPEN_FILES + 5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]))
    before = len(os.listdir("/proc/self/fd"))
    files = ShardFiles()
    read = [os.pread(files.opened(path), 1, 0)[0] for path in paths * 2]
    assert read == list(range(len(paths))) * 2
    assert len(os.listdir("/proc/self/fd")) == before + MAX_OPEN_FILES
    files.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_tar_that_is_gone_is_closed_when_the_next_is_opened(tmp_path):
    """Else its space would stay taken."""
    files = ShardFiles()
    for name in "ab":
        (tmp_path / name).write_bytes(b"x")
    files.opened(tmp_path / "a")
    (tmp_path / "a").unlink()
    files.opened(tmp_path / "b")
    assert os.pread(files.opened(tmp_path / "b"), 1, 0) == b"x" and len(files._open) == 1


def test_a_mixture_can_be_sent_to_another_process(mixture):
    assert pickle.loads(pickle.dumps(mixture)) == mixture
