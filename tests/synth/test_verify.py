"""Law 9: whatever changes in a data set is found and named; what did not change is intact."""

import json
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from blursynth import (
    files,
    generate,
    making,
    manifest,
    plan,
    rerender,
    shards,
    sources,
    spec,
    verify,
)
from blursynth.card import CARD_NAMES
from blursynth.options import options_from_dict, options_to_dict
from blursynth.schema import decode_index, encode_index, encode_json

from ..conftest import make_picture, write_image, write_scene

PANORAMA = spec.PanoramaOptions(camera=spec.CameraOptions(size=16), frames="all")
VIDEO = spec.VideoOptions(n=3, crop=24)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with the sources (src/) and two data sets (shards/) of them."""
    folder = tmp_path_factory.mktemp("verify")
    for number in range(3):
        write_image(folder / "src/sun360" / f"place {number}.png", make_picture(64, 128, number))
    write_scene(folder / "src/gopro/train/GOPR0001_11_00", seed=1, frames=6)
    write_scene(folder / "src/gopro/test/GOPR0003_11_00", seed=3, frames=4)
    make_panoramas(folder / "src/sun360", folder / "shards")
    make_windows(folder / "src/gopro", folder / "shards")
    return folder


@pytest.fixture
def copy(original, tmp_path):
    """The same, to be damaged."""
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


def make_panoramas(src, out, options=PANORAMA, **packing):
    data_set = spec.DataSetOptions(**{"name": "panorama", "samples_per_shard": 4, **packing})
    found, _ = sources.find_panoramas(src, digests(out))
    planned = plan.plan_panoramas(out, found, options=options, data_set=data_set, per_panorama=3)
    run(planned, making.PanoramaMaker(data_set.name, options))


def make_windows(src, out, options=VIDEO):
    data_set = spec.DataSetOptions("gopro", samples_per_shard=3)
    found, _ = sources.find_scenes(src, digests(out))
    planned = plan.plan_windows(out, found, options=options, data_set=data_set)
    run(planned, making.WindowMaker("gopro", options))


def digests(out):
    return sources.Digests(out.parent / "digests.json")


def run(planned, maker):
    generate.generate(planned, maker, run=generate.RunOptions(jobs=1), failures=[])


def verified(root):
    return verify.verify(verify.find_data_sets(root), root, jobs=1)


def lines(root):
    return [str(fault) for fault in verified(root).faults]


def redrawn(folder, src, count=4):
    root = folder / "shards"
    data_sets = verify.find_data_sets(root)
    return rerender.rerender(data_sets, root, folder / src, count=count, jobs=1)


def flip(path, at, change=0x41):
    data = bytearray(path.read_bytes())
    data[at] ^= change
    path.write_bytes(data)


def tar_and_index(folder, name="panorama/train/panorama-train-000000"):
    tar = folder / "shards" / f"{name}.tar"
    return tar, decode_index(tar.with_suffix(".json").read_bytes(), "x")


# --- what is intact ----------------------------------------------------------------------------


def test_what_was_written_is_intact_seen_from_any_folder(original, tmp_path):
    whole = verified(original / "shards")
    assert (whole.faults, whole.unfinished, whole.notes) == ((), (), ())
    assert (whole.shards, whole.samples) == (6, 15)
    assert verified(original / "shards/panorama").samples == 9
    assert verified(original / "shards/panorama/train").samples == 6
    (tmp_path / "link").symlink_to(original / "shards/panorama")
    assert verified(tmp_path).samples == 9
    assert verify.summary(whole) == "15 samples in 6 shards read; intact"


@pytest.mark.parametrize("image_format", ["jpg", "webp", "npy"])
def test_other_formats_are_intact_too(original, tmp_path, image_format):
    make_panoramas(original / "src/sun360", tmp_path / "shards", image_format=image_format)
    assert lines(tmp_path / "shards") == []
    _, index = tar_and_index(tmp_path)
    assert index.image_format == image_format


def test_samples_drawn_anew_are_the_same(original):
    found = redrawn(original, "src/sun360", count=7)
    assert (found.samples, found.tolerance, found.faults) == (7, 0, ())
    assert redrawn(original, "src/gopro").faults == ()
    assert redrawn(original, "src/gopro", count=1000).samples == 6


def test_drawing_is_even_over_the_shards_and_a_larger_count_adds():
    drawn = list(rerender._evenly([4, 4, 1]))
    assert len(set(drawn)) == 9 and {shard for shard, _ in drawn[:3]} == {0, 1, 2}
    assert sorted(shard for shard, _ in drawn[3:5]) == [0, 1]


def test_an_unfinished_data_set_is_said(copy):
    (copy / "shards/gopro/test/manifest.json").unlink()
    tar, _ = tar_and_index(copy, "gopro/test/gopro-test-000000")
    tar.with_suffix(".json").unlink()
    (copy / "shards/later").mkdir()
    shutil.copy(copy / "shards/gopro/plan.json", copy / "shards/later")
    found = verified(copy / "shards")
    assert found.faults == () and found.unfinished == ("gopro/test", "later")
    assert "unfinished, the same command goes on: gopro/test, later" in verify.summary(found)


def test_a_shared_clip_is_a_note_where_folders_rule(original, tmp_path):
    shutil.copytree(original / "src/gopro", tmp_path / "gopro")
    write_scene(tmp_path / "gopro/test/GOPR0001_11_07", seed=4, frames=4)
    make_windows(tmp_path / "gopro", tmp_path / "shards")
    found = verified(tmp_path / "shards")
    assert found.faults == () and "share the clips GOPR0001" in found.notes[0]


# --- single bytes ------------------------------------------------------------------------------


def header_fields():
    """(field, place in the header) of a ustar header, one byte of each."""
    places = {"name": 3, "mode": 103, "uid": 110, "size": 131, "mtime": 140, "checksum": 150}
    return places | {"type": 156, "link": 160, "magic": 259, "owner": 266, "unused": 505}


@pytest.mark.parametrize("field", header_fields())
def test_a_changed_byte_in_a_tar_header_names_its_sample_and_member(copy, field):
    tar, index = tar_and_index(copy)
    offset, _ = index.samples[1].members["frame.001.png"]
    flip(tar, offset - tarfile.BLOCKSIZE + header_fields()[field], 1)
    key = index.samples[1].key
    place = f"panorama/train/{tar.name}"
    assert f"{place}, {key}: the tar header of member frame.001.png is damaged" in lines(
        copy / "shards"
    )


@pytest.mark.parametrize(
    "member, words",
    [
        ("blur.png", "member blur.png"),
        ("frame.002.png", "member frame.002.png"),
        ("meta.json", "meta.json"),
    ],
)
def test_a_changed_byte_of_a_member_names_it(copy, member, words):
    tar, index = tar_and_index(copy)
    offset, size = index.samples[0].members[member]
    flip(tar, offset + size // 2)
    found = lines(copy / "shards")
    assert any(index.samples[0].key in line and words in line for line in found)
    assert any("sha256" in line for line in found)


def test_a_changed_byte_of_the_padding_and_of_the_end_are_named(copy):
    tar, index = tar_and_index(copy)
    offset, size = index.samples[0].members["meta.json"]
    flip(tar, offset + size)
    flip(tar, tar.stat().st_size - 1)
    found = lines(copy / "shards")
    assert any("the padding of member meta.json is damaged" in line for line in found)
    assert any("the tar does not end as it should" in line for line in found)


@pytest.mark.parametrize(
    "name", ["plan.json", "train/manifest.json", "train/gopro-train-000000.json"]
)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.45, 0.7, 0.95, 1.0])
def test_a_changed_byte_of_a_plan_a_manifest_or_an_index_is_found(copy, name, share):
    path = copy / "shards/gopro" / name
    flip(path, int(share * (path.stat().st_size - 1)), 1)
    found = lines(copy / "shards")
    assert any(path.stem in line for line in found)


def test_another_spelling_of_the_same_values_is_found(copy):
    for name in ("plan.json", "train/manifest.json", "train/gopro-train-000000.json"):
        path = copy / "shards/gopro" / name
        path.write_text(json.dumps(json.loads(path.read_bytes())))
    assert len({line.split(":")[0] for line in lines(copy / "shards")}) == 3


def test_thirty_random_bytes_are_found(copy):
    rng = np.random.default_rng(1)
    files = (p for p in (copy / "shards").rglob("*.*") if p.is_file())
    paths = sorted(p for p in files if p.name not in CARD_NAMES and not p.name.startswith("."))
    for _ in range(30):
        path = paths[rng.integers(len(paths))]
        at, change = int(rng.integers(path.stat().st_size)), int(rng.integers(1, 256))
        flip(path, at, change)
        assert lines(copy / "shards"), (path.name, at, change)
        flip(path, at, change)
    assert lines(copy / "shards") == []


# --- more than bytes ---------------------------------------------------------------------------


def test_a_missing_tar_index_plan_and_manifest_are_named(copy):
    tar, _ = tar_and_index(copy)
    tar.unlink()
    other, _ = tar_and_index(copy, "gopro/train/gopro-train-000001")
    other.with_suffix(".json").unlink()
    (copy / "shards/panorama/plan.json").unlink()
    found = lines(copy / "shards")
    assert any(line.startswith("panorama/plan.json: No such file") for line in found)
    assert any(tar.name in line and "No such file" in line for line in found)
    assert any(other.name in line and "No such file" in line for line in found)


def test_a_tar_that_is_cut_short_or_goes_on_is_found(copy):
    for change in (lambda data: data[:-5120], lambda data: data + bytes(10240)):
        tar, index = tar_and_index(copy)
        whole = tar.read_bytes()
        tar.write_bytes(change(whole))
        assert any(f"expected {index.tar_bytes} bytes" in line for line in lines(copy / "shards"))
        tar.write_bytes(whole)


def test_a_shard_of_other_data_is_found(copy, original, tmp_path):
    make_panoramas(original / "src/sun360", tmp_path / "shards", replace(PANORAMA, seed=1))
    for suffix in (".tar", ".json"):
        name = f"panorama/train/panorama-train-000000{suffix}"
        shutil.copy(tmp_path / "shards" / name, copy / "shards" / name)
    found = lines(copy / "shards")
    assert any("it belongs to other data" in line for line in found)
    assert any("not the one that the manifest lists" in line for line in found)


def rewritten(tar, index, change, **fields):
    """Writes a shard anew with its samples changed, and an index and a manifest that agree."""
    with open(tar, "rb") as file:
        samples = [rerender.read_sample(file, one)[0] for one in index.samples]
    root = tar.parents[2]
    name = shards.ShardName(str(root), index.data_set, index.split, int(tar.stem[-6:]))
    written = shards.write_shard(
        name, map(change, samples), fingerprint=index.fingerprint, image_format="png"
    )
    relisted(tar, replace(written, **fields))


def relisted(tar, index):
    """Writes the index of a shard, and a manifest that lists it."""
    tar.with_suffix(".json").write_bytes(encode_index(index))
    path = tar.parent / "manifest.json"
    told = json.loads(path.read_bytes())
    del told["sha256"]
    entry = manifest.listed_shard(index)
    told["shards"] = [entry if old["tar"] == tar.name else old for old in told["shards"]]
    told["totals"]["bytes"] = sum(entry["bytes"] for entry in told["shards"])
    path.write_bytes(manifest.encode_manifest(told))


def test_a_blur_that_is_not_the_mean_of_its_frames_is_found_though_all_digests_agree(copy):
    tar, index = tar_and_index(copy, "gopro/train/gopro-train-000000")

    def brighter(sample):
        return replace(sample, blur=np.minimum(sample.blur, 254) + np.uint8(1))

    rewritten(tar, index, brighter)
    found = lines(copy / "shards")
    assert len(found) == len(index.samples)
    assert all("its blur is not the mean of its frames" in line for line in found)
    assert index.samples[0].key in found[0]


@pytest.mark.parametrize("is_listed", [False, True])
def test_a_member_that_the_contract_does_not_list_is_found_though_all_digests_agree(
    copy, is_listed
):
    tar, index = tar_and_index(copy, "gopro/train/gopro-train-000000")
    *others, last = index.samples
    end = sum(last.members["meta.json"]) + -sum(last.members["meta.json"]) % 512
    member = shards.member_header(f"{last.key}.trap.pkl", 5) + b"cos\n." + bytes(507)
    data = tar.read_bytes()[:end] + member
    tar.write_bytes(data + bytes(-len(data) % 10240 or 10240))
    if is_listed:
        last = replace(last, members={**last.members, "trap.pkl": (end + 512, 5)})
    relisted(
        tar,
        replace(
            index,
            samples=(*others, last),
            tar_bytes=tar.stat().st_size,
            tar_sha256=files.sha256_of(tar),
        ),
    )
    (found,) = lines(copy / "shards")
    assert ("contract does not list: ['trap.pkl']" in found) == is_listed
    assert ("the tar does not end as it should" in found) == (not is_listed)


def test_members_in_another_order_are_found_though_all_digests_agree(copy):
    tar, index = tar_and_index(copy)
    first, second, *others = index.samples
    relisted(tar, replace(index, samples=(second, first, *others)))
    found = lines(copy / "shards")
    assert any("does not stand where the one before it ends" in line for line in found)


def test_a_key_of_another_source_and_statistics_that_do_not_add_up_are_found(copy):
    tar, index = tar_and_index(copy)
    rewritten(
        tar,
        index,
        lambda sample: replace(sample, meta={**sample.meta, "source": "elsewhere.png"}),
        statistics={},
    )
    found = lines(copy / "shards")
    assert any("its key does not belong to its source elsewhere.png" in line for line in found)
    assert any("(sources, statistics)" in line for line in found)


def test_a_source_in_both_splits_and_a_double_key_are_found(copy):
    tar, index = tar_and_index(copy, "panorama/test/panorama-test-000000")
    train, train_index = tar_and_index(copy)
    with open(train, "rb") as file:
        stolen = [rerender.read_sample(file, one)[0] for one in train_index.samples]
    it = iter(stolen)
    rewritten(tar, index, lambda sample: next(it))
    found = lines(copy / "shards")
    assert any(stolen[0].key in line and "the same key is in" in line for line in found)
    source = stolen[0].meta["source"]
    assert f"panorama: {source} gives samples to train and test" in found


@pytest.mark.parametrize("folders, words", [
    (("train/a", "test/b"), "expected test/b/GOPR0001_11_01 in test, found it in train"),
    (("a", "b"), "the clip GOPR0001 gives samples to train and test"),
])  # fmt: skip
def test_scenes_on_the_wrong_side_are_found(tmp_path, monkeypatch, folders, words):
    """Law 6, held against a plan that breaks it."""
    for number, folder in enumerate(folders):
        write_scene(tmp_path / "src" / folder / f"GOPR0001_11_0{number}", seed=number, frames=4)
    scenes = [f"{folder}/GOPR0001_11_0{number}" for number, folder in enumerate(folders)]
    sides = dict.fromkeys(scenes, "train")
    if folders[0] == "a":
        sides["a/GOPR0001_11_00"] = "test"
    monkeypatch.setattr(plan, "split_sources", lambda sources, fraction, group_of: sides)
    make_windows(tmp_path / "src", tmp_path / "shards")
    assert lines(tmp_path / "shards") == [f"gopro: {words}"]


# --- drawing anew ------------------------------------------------------------------------------


def test_pixels_that_the_sources_do_not_give_are_found_by_drawing_anew(copy):
    tar, index = tar_and_index(copy, "gopro/train/gopro-train-000000")
    rewritten(
        tar,
        index,
        lambda sample: replace(sample, blur=sample.blur[::-1], frames=sample.frames[:, ::-1]),
    )
    assert lines(copy / "shards") == []
    found = redrawn(copy, "src/gopro", count=100)
    assert {fault.key for fault in found.faults} == {sample.key for sample in index.samples}
    assert "drawn anew it differs by up to" in found.faults[0].reason


def off_by_one(sample):
    return replace(sample, frames=sample.frames ^ 1, blur=sample.blur ^ 1,
                   meta={**sample.meta, "exact_mean": False})  # fmt: skip


def test_on_another_processor_type_a_difference_of_one_is_allowed(copy):
    tar, index = tar_and_index(copy, "gopro/test/gopro-test-000000")
    rewritten(tar, index, off_by_one)
    assert len(redrawn(copy, "src/gopro", count=100).faults) == len(index.samples)
    path = tar.parent / "manifest.json"
    told = json.loads(path.read_bytes())
    del told["sha256"]
    told["run"]["machine"]["processor"] = "abacus"
    path.write_bytes(manifest.encode_manifest(told))
    found = redrawn(copy, "src/gopro", count=100)
    assert found.tolerance == 1 and found.faults == ()
    assert "within 1: another processor type" in verify.summary(verified(copy / "shards"), found)


def test_sources_that_are_elsewhere_or_have_changed_are_refused(copy):
    with pytest.raises(ValueError, match="found none of theirs; name the folder"):
        redrawn(copy, "shards")
    write_image(copy / "src/sun360/place 1.png", make_picture(64, 128, 9))
    with pytest.raises(ValueError, match="found place 1.png changed"):
        redrawn(copy, "src/sun360")
    (copy / "src/sun360/place 1.png").unlink()
    with pytest.raises(ValueError, match="found place 1.png missing"):
        redrawn(copy, "src/sun360")


@pytest.mark.parametrize("kind, options", [("panorama", PANORAMA), ("video", VIDEO)])
def test_options_survive_the_way_through_json(kind, options):
    stored = json.loads(encode_json(options_to_dict(options, spec.DataSetOptions("x"))))
    assert options_from_dict(kind, stored) == options
    del stored["seed"]
    with pytest.raises(ValueError, match="expected the options of this version"):
        options_from_dict(kind, stored)
