"""What lies under `--shards DIR` is found, checked and chosen from."""

import json

import pytest

from blurvid.index import data_sets_under, find_mixture


def _names(mixture):
    return [data_set.name for data_set in mixture.data_sets]


def test_a_root_and_the_folder_of_one_data_set_are_both_read(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2, 3])
    of_root = find_mixture(tmp_path, split="train", frames=3)
    of_one = find_mixture(tmp_path / "dots", split="train", frames=3)
    assert of_root == of_one
    assert of_root.shard_sizes == (2, 3)


def test_only_the_split_that_was_asked_for_is_read(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2])
    write_data_set(tmp_path, "dots", "test", [1], first=2)
    assert find_mixture(tmp_path, split="test", frames=3).sample_count == 1


def test_a_tar_without_its_index_does_not_exist(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2, 3])
    (tmp_path / "dots/train/dots-train-000001.json").unlink()
    (tmp_path / "dots/train/manifest.json").write_text("{}")
    mixture = find_mixture(tmp_path, split="train", frames=3)
    assert mixture.shard_sizes == (2,)
    assert mixture.left_out == (
        "dots: tar dots-train-000001.tar has no index and is not read; the data set is unfinished: "
        "run the blursynth command that makes it again",
    )


@pytest.mark.parametrize("trace", ["plan.json", "train/manifest.json"])
def test_tars_without_index_beside_any_trace_of_blursynth_are_not_plain(
    tmp_path, write_data_set, trace
):
    write_data_set(tmp_path, "dots", "train", [2])
    write_data_set(tmp_path, "more", "train", [2])
    (tmp_path / "dots/train/dots-train-000000.json").unlink()
    (tmp_path / "dots" / trace).write_text("{}")
    assert _names(find_mixture(tmp_path, split="train", frames=3)) == ["more"]


def test_a_key_stands_for_one_sample_of_the_data_set(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2])
    first = tmp_path / "dots/train/dots-train-000000.tar"
    for suffix in (".tar", ".json"):
        again = first.with_name(f"dots-train-000001{suffix}")
        again.write_bytes(first.with_suffix(suffix).read_bytes().replace(b"0.tar", b"1.tar"))
    sentence = "000001.tar: sample dots-000000 is there again, after .*000000.tar"
    with pytest.raises(ValueError, match=sentence):
        data_sets_under(tmp_path, split="train")


def test_data_sets_with_enough_frames_are_mixed_and_the_others_named(tmp_path, write_data_set):
    write_data_set(tmp_path, "seven", "train", [2], frames=7, size_hw=(32, 64))
    write_data_set(tmp_path, "nine", "train", [3], frames=9, size_hw=(64, 48))
    write_data_set(tmp_path, "three", "train", [4], frames=3)
    mixture = find_mixture(tmp_path, split="train", frames=7)
    assert _names(mixture) == ["nine", "seven"]
    assert mixture.size_hw == (32, 48)
    assert mixture.left_out == ("three: 3 frames a sample, 7 wanted",)


def test_one_data_set_can_be_named(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2])
    write_data_set(tmp_path, "more", "train", [2])
    assert _names(find_mixture(tmp_path, split="train", frames=3, name="more")) == ["more"]


def test_every_number_finds_its_own_sample(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2, 0, 3])
    write_data_set(tmp_path, "more", "train", [2])
    mixture = find_mixture(tmp_path, split="train", frames=3)
    keys = [mixture.locate(number)[1].key for number in range(mixture.sample_count)]
    assert keys == [f"dots-{i:06d}" for i in range(5)] + [f"more-{i:06d}" for i in range(2)]


def _unknown_name(folder):
    find_mixture(folder, split="train", frames=3, name="circles")


def _too_few_frames(folder):
    find_mixture(folder, split="train", frames=7)


def _missing_folder(folder):
    find_mixture(folder / "absent", split="train", frames=3)


def _missing_split(folder):
    find_mixture(folder, split="test", frames=3)


def _other_schema(folder):
    path = folder / "dots/train/dots-train-000000.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    find_mixture(folder, split="train", frames=3)


def _short_tar(folder):
    tar = folder / "dots/train/dots-train-000000.tar"
    tar.write_bytes(tar.read_bytes()[:-1024])
    find_mixture(folder, split="train", frames=3)


def _missing_tar(folder):
    (folder / "dots/train/dots-train-000000.tar").unlink()
    find_mixture(folder, split="train", frames=3)


def _without_indices(folder):
    (folder / "dots/train/dots-train-000000.json").unlink()
    (folder / "dots/plan.json").write_text("{}")
    find_mixture(folder, split="train", frames=3)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (_unknown_name, "no data set 'circles' .* but: dots"),
        (_too_few_frames, "at least 7 frames, found dots: 3 frames"),
        (_missing_folder, "absent: expected a folder"),
        (_missing_split, r"looked for test/\*.tar and \*/test/\*.tar, .* found split train"),
        (_other_schema, "000000.json: expected schema 1, found 99"),
        (_short_tar, "000000.tar: expected 20480 bytes .* found 19456"),
        (_missing_tar, "000000.tar is missing beside its index"),
        (_without_indices, "found 1 tars without an index"),
    ],
)
def test_a_mistake_is_answered_with_what_was_expected_and_found(
    tmp_path, write_data_set, mistake, sentence
):
    write_data_set(tmp_path, "dots", "train", [2])
    with pytest.raises(ValueError, match=sentence):
        mistake(tmp_path)


def test_shards_of_different_data_are_not_taken_for_one_data_set(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2, 2])
    write_data_set(tmp_path, "dots", "train", [2], fingerprint="0" * 64)
    with pytest.raises(ValueError, match="belongs to other data"):
        data_sets_under(tmp_path, split="train")


def test_the_same_data_set_twice_is_refused(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2])
    (tmp_path / "dots").rename(tmp_path / "copy")
    write_data_set(tmp_path, "dots", "train", [2])
    with pytest.raises(ValueError, match="more than one folder holds a data set 'dots'"):
        data_sets_under(tmp_path, split="train")
