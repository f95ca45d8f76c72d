"""Laws of the HDF5 file: the same bytes there and back, and nothing in it is trusted."""

import filecmp
import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import numpy as np
import pytest

from blurcli import synth
from blursynth import export, files, hdf5, schema, verify
from blursynth.exported import import_data_sets
from blursynth.interrupts import postponed
from blursynth.manifest import encode_manifest, listed_shard
from blurvid import index

from ..conftest import make_picture, make_sample, write_image, write_scene

KINDS = ("png", "webp", "jpg", "npy", "gopro")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five data sets: panoramas in each format with all of their n frames, and a video."""
    src, out = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("made")
    for number in range(4):
        write_image(src / "sun360" / f"place {number}.png", make_picture(64, 128, number))
    write_scene(src / "gopro/train/GOPR0001_11_00", seed=1, frames=7)
    write_scene(src / "gopro/test/GOPR0003_11_00", seed=3, frames=5)
    (src / "sun360" / "broken.png").write_bytes(b"no picture")
    for kind in KINDS[:4]:
        make(
            "panorama",
            "--src",
            src / "sun360",
            "--out",
            out,
            "--name",
            kind,
            "--format",
            kind,
            "--size",
            16,
            "--per-panorama",
            2,
            "--samples-per-shard",
            3,
            "--frames",
            "all",
        )
    make("gopro", "--src", src / "gopro", "--out", out, "--n", 3, "--crop", 24,
         "--samples-per-shard", 2)  # fmt: skip
    return out


def make(*arguments):
    synth.blursynth([*map(str, arguments), "--jobs", "1"], standalone_mode=False)


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "set.h5"
    export.export_data_sets(verify.find_data_sets(made), path)
    return path


@pytest.fixture(scope="module")
def back(exported, tmp_path_factory):
    out = tmp_path_factory.mktemp("back")
    import_data_sets(exported, out)
    return out


def tree(folder):
    """Every file by its place, but for what a run remembers of sources and machines."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {place: p.read_bytes() for place, p in found.items() if not p.name.startswith(".")}


# --- there and back ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_comes_back_to_the_byte(made, back, kind):
    there = tree(made / kind)
    assert {"plan.json", "train/manifest.json", "test/README.md"} <= there.keys()
    assert tree(back / kind) == there


def test_what_comes_back_is_intact_and_blurvid_reads_it(back):
    found = verify.verify(verify.find_data_sets(back), back, jobs=1)
    assert found.faults == () and found.unfinished == () and found.samples == 4 * 8 + 8
    data_sets = index.data_sets_under(back, split="train")
    assert [d.name for d in data_sets] == sorted(KINDS)


def test_the_frames_are_ragged_here(made):
    places = (made / "png").rglob("*-??????.json")
    indexes = [schema.decode_index(p.read_bytes(), "x") for p in places]
    assert len({s.frame_count for i in indexes for s in i.samples}) > 1


def test_pixels_and_metadata_are_read_by_name_without_our_code(made, exported):
    tar = made / "gopro/test/gopro-test-000000.tar"
    told = schema.decode_index(tar.with_suffix(".json").read_bytes(), "x")
    entry, data = told.samples[1], tar.read_bytes()
    members = {name: data[at : at + size] for name, (at, size) in entry.members.items()}
    sample = schema.decode_sample(entry.key, members)
    with h5py.File(exported) as file:
        group = file[f"gopro/test/{entry.key}"]
        assert np.array_equal(group["blur"][:], sample.blur)
        assert np.array_equal(group["frames"][:], sample.frames)
        assert group["frames"].chunks == (1, 24, 24, 3)
        assert group["frames"].compression == "gzip"
        assert group.attrs.keys() == sample.meta.keys()
        assert group.attrs["n"] == 3 and group.attrs["n"].dtype == np.int64
        assert group.attrs["source"] == "test/GOPR0003_11_00"
        assert group.attrs["exact_mean"].dtype == bool
        assert group.attrs["direction"].tolist() == sample.meta["direction"]


def test_the_same_data_give_the_same_file_at_any_time(made, exported, tmp_path):
    time.sleep(1.1)
    export.export_data_sets(verify.find_data_sets(made), tmp_path / "again.h5")
    assert filecmp.cmp(exported, tmp_path / "again.h5", shallow=False)


@pytest.mark.parametrize(
    "kind, kept", [("png", False), ("webp", False), ("npy", False), ("jpg", True)]
)
def test_bytes_are_kept_beside_the_pixels_only_where_they_do_not_follow(exported, kind, kept):
    with h5py.File(exported) as file:
        names = [n for key, group in file[f"{kind}/test"].items() if "." not in key for n in group]
    assert any(name.endswith(f".{kind}") for name in names) == kept


def test_shards_that_another_encoder_wrote_come_back_too(monkeypatch, tmp_path):
    for number in range(4):
        write_image(tmp_path / "src" / f"place {number}.png", make_picture(64, 128, number))
    with monkeypatch.context() as other:
        other.setitem(schema._CV2_PARAMETERS, "png", [])
        make("panorama", "--src", tmp_path / "src", "--out", tmp_path / "made", "--size", 16,
             "--per-panorama", 2)  # fmt: skip
    export.export_data_sets(verify.find_data_sets(tmp_path / "made"), tmp_path / "set.h5")
    import_data_sets(tmp_path / "set.h5", tmp_path / "back")
    assert tree(tmp_path / "back") == tree(tmp_path / "made")
    with h5py.File(tmp_path / "set.h5") as file:
        train = file["panorama/train"]
        assert all("blur.png" in train[key] for key in train if "." not in key)


def test_an_import_by_another_encoder_is_refused_and_leaves_no_shard(
    exported, monkeypatch, tmp_path
):
    monkeypatch.setitem(schema._CV2_PARAMETERS, "png", [])
    with pytest.raises(ValueError, match="gopro-train-000000.tar would not be the tar that was"):
        import_data_sets(exported, tmp_path)
    assert not list(tmp_path.rglob("*.tar")) and not list(tmp_path.rglob("*.partial"))


VALUES = [
    *(0, -1, 2**63 - 1, -(2**63), 2**64, 1.0, -0.0, 5e-324, 0.1, True, False, None),
    *("", "text", "json:text", "json:1", "nul\0nul", "häßlich \U0001f600", "1"),
    *([], [[]], [1, 2], [1, 2.0], [1.0, 2.0], [True, False], [True, 1], [2**63]),
    *([[1.0, 2.0], [3.0, 4.0]], [[1], [2, 3]], [[1.5]], ["a", "b"], [None], [[], [1]], [-0.0]),
    *({}, {"a": [1, {"b": None}]}, [1e300, -1e-300]),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_any_metadata_come_back_as_they_were(value):
    with h5py.File(io.BytesIO(), "w", libver=hdf5.LIBRARY) as file:
        hdf5.put_meta(file, {"it": value})
        assert repr(hdf5.meta_in(file)) == repr({"it": value})


@pytest.mark.parametrize("name", ["", "a/b", ".", "json:x", "nul\0", "ä", "two words"])
def test_names_of_metadata_come_back_too(name):
    with h5py.File(io.BytesIO(), "w", libver=hdf5.LIBRARY) as file:
        hdf5.put_meta(file, {name: 1, "other": 2})
        assert hdf5.meta_in(file) == {name: 1, "other": 2}


def test_thousands_of_quaternions_are_an_attribute_as_any_other():
    sample = make_sample()
    quaternions = np.random.default_rng(0).random((5000, 4)).tolist()
    sample.meta.update(quaternions=quaternions, more={"long": "x" * 100_000})
    with h5py.File(io.BytesIO(), "w", libver=hdf5.LIBRARY) as file:
        hdf5.put_sample(file, sample, {})
        assert file[sample.key].attrs["quaternions"].shape == (5000, 4)
        assert hdf5.meta_in(file[sample.key]) == sample.meta


# --- whole or not at all -----------------------------------------------------------------------


def test_an_export_that_is_killed_leaves_no_file_and_the_next_one_clears_up(
    made, exported, tmp_path
):
    code = (
        "import os, signal, sys; from pathlib import Path; from blursynth import export, verify\n"
        "export.export_data_sets(verify.find_data_sets(Path(sys.argv[1])), Path(sys.argv[2]),\n"
        "    on_progress=lambda done: done < 9 or os.kill(os.getpid(), signal.SIGKILL))"
    )
    path = tmp_path / "set.h5"
    ended = subprocess.run([sys.executable, "-c", code, made, path])
    assert ended.returncode == -signal.SIGKILL
    assert not path.exists() and len(list(tmp_path.iterdir())) == 1
    export.export_data_sets(verify.find_data_sets(made), path)
    assert [p.name for p in tmp_path.iterdir()] == ["set.h5"]
    assert filecmp.cmp(exported, path, shallow=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_export_that_is_interrupted_leaves_nothing(made, tmp_path, error):
    def stop(done):
        if done == 5:
            raise error

    with pytest.raises(error):
        export.export_data_sets(
            verify.find_data_sets(made), tmp_path / "new/set.h5", on_progress=stop
        )
    assert not list((tmp_path / "new").iterdir())


INTERRUPTED = (
    "import signal, sys; from blursynth import hdf5\n"
    "when, calls, write = int(sys.argv.pop(1)), iter(range(100_000)), hdf5._Disk.write\n"
    "def interrupted(disk, data):\n"
    "    if next(calls) == when: signal.raise_signal(signal.SIGINT)\n"
    "    return write(disk, data)\n"
    "hdf5._Disk.write = interrupted\n"
    "from blurcli.synth import main; main()"
)


@pytest.mark.parametrize("write", [0, 100, 1000])
def test_ctrl_c_inside_of_hdf5_ends_the_export_in_a_sentence(made, tmp_path, write):
    """Raised there, as the interpreter does before a call's first line, it killed the process."""
    command = [sys.executable, "-c", INTERRUPTED, str(write), "export", made, tmp_path / "set.h5"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 130 and not list(tmp_path.iterdir())
    assert ended.stderr == "\nblursynth: interrupted; what is finished is kept\n"


def test_ctrl_c_is_answered_by_whoever_did_so_before(made, tmp_path):
    former = signal.getsignal(signal.SIGINT)
    export.export_data_sets(verify.find_data_sets(made), tmp_path / "set.h5")
    assert signal.getsignal(signal.SIGINT) is former
    with pytest.raises(KeyboardInterrupt), postponed():
        signal.raise_signal(signal.SIGINT)
        late = True
    assert late and signal.getsignal(signal.SIGINT) is former


def test_ctrl_c_that_is_ignored_stays_so(made, tmp_path):
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        export.export_data_sets(
            verify.find_data_sets(made),
            tmp_path / "set.h5",
            on_progress=lambda done: signal.raise_signal(signal.SIGINT),
        )
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert (tmp_path / "set.h5").exists()


def test_an_export_may_run_beside_the_main_thread(made, exported, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        data_sets = verify.find_data_sets(made)
        pool.submit(export.export_data_sets, data_sets, tmp_path / "set.h5").result()
    assert filecmp.cmp(exported, tmp_path / "set.h5", shallow=False)


def test_exports_at_once_leave_each_other_alone(made, exported, tmp_path):
    data_sets = verify.find_data_sets(made)
    (tmp_path / ".set.thesis.partial").write_text("years")

    def begin_others(done):
        if done == 5:
            export.export_data_sets(data_sets, tmp_path / "set")
            with pytest.raises(ValueError, match="set.h5 alone, found another export at work on"):
                export.export_data_sets(data_sets, tmp_path / "set.h5")

    export.export_data_sets(data_sets, tmp_path / "set.h5", on_progress=begin_others)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".set.thesis.partial", "set", "set.h5"]
    assert filecmp.cmp(exported, tmp_path / "set", shallow=False)
    assert filecmp.cmp(exported, tmp_path / "set.h5", shallow=False)


def test_a_file_that_waits_for_its_name_is_left_alone_too(made, exported, monkeypatch, tmp_path):
    """Between its last byte and its name it is written through to the disk, which takes a while."""
    data_sets, sync, met = verify.find_data_sets(made), files._sync, []

    def meet(path):
        with pytest.raises(ValueError, match="found another export at work on it"):
            monkeypatch.setattr(files, "_sync", sync)
            export.export_data_sets(data_sets, tmp_path / "set.h5")
        met.append(path)
        sync(path)

    monkeypatch.setattr(files, "_sync", meet)
    export.export_data_sets(data_sets, tmp_path / "set.h5")
    assert len(met) == 1 and [p.name for p in tmp_path.iterdir()] == ["set.h5"]
    assert filecmp.cmp(exported, tmp_path / "set.h5", shallow=False)


def test_a_file_that_was_taken_before_it_was_locked_is_given_up(made, monkeypatch, tmp_path):
    lock = hdf5.fcntl.flock

    def taken(handle, how):
        monkeypatch.setattr(hdf5.fcntl, "flock", lock)
        hdf5._remove_left(tmp_path / "set.h5")
        lock(handle, how)

    monkeypatch.setattr(hdf5.fcntl, "flock", taken)
    with pytest.raises(ValueError, match="found another export at work on it"):
        export.export_data_sets(verify.find_data_sets(made), tmp_path / "set.h5")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(made, small_disk):
    disk, enlarge = small_disk
    (disk / "film.mp4").write_bytes(bytes((1 << 20) - 200_000))
    with pytest.raises(OSError, match="No space left") as full:
        export.export_data_sets(verify.find_data_sets(made), disk / "set.h5")
    assert full.value.filename == str(disk / "set.h5")
    assert [p.name for p in disk.iterdir()] == ["film.mp4"]
    enlarge()
    export.export_data_sets(verify.find_data_sets(made), disk / "set.h5")


def test_an_import_goes_on_where_it_was_stopped(made, exported, tmp_path):
    def stop(done):
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_data_sets(exported, tmp_path, on_progress=stop)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.tar")}
    assert before and not list(tmp_path.rglob("*.partial"))
    assert import_data_sets(exported, tmp_path) == 4 * 8 + 8
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert tree(tmp_path) == tree(made)


PEAK = (
    "import resource, sys; from pathlib import Path; from blursynth import export, verify\n"
    "export.export_data_sets(verify.find_data_sets(Path(sys.argv[1])), Path(sys.argv[2]))\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
)


def test_memory_does_not_grow_with_the_samples(tmp_path):
    write_image(tmp_path / "src" / "a.png", make_picture(64, 128, 1))
    peaks = []
    for samples in (2, 60):
        out = tmp_path / f"{samples}"
        make("panorama", "--src", tmp_path / "src", "--out", out, "--size", 256, "--format", "npy",
             "--per-panorama", samples, "--c", 3, "--slope", 0, "--max-angle", 1)  # fmt: skip
        command = [sys.executable, "-c", PEAK, out, tmp_path / f"{samples}.h5"]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert sum(p.stat().st_size for p in (tmp_path / "60").rglob("*.tar")) > 45e6
    assert peaks[1] - peaks[0] < 15


# --- what is refused ---------------------------------------------------------------------------


def test_a_damaged_shard_is_refused_by_name(made, tmp_path):
    shutil.copytree(made / "png", tmp_path / "png")
    tar = tmp_path / "png/train/png-train-000001.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    with pytest.raises(ValueError, match="png-train-000001.tar.*sha256"):
        export.export_data_sets(verify.find_data_sets(tmp_path), tmp_path / "set.h5")
    assert not list(tmp_path.glob("*set.h5*"))


@pytest.mark.parametrize(
    "lost, words",
    [
        ("train/manifest.json", "train is unfinished; the command that makes it goes on"),
        ("plan.json", "plan.json: No such file"),
        ("train/png-train-000001.json", "png-train-000001.*No such file"),
    ],
)
def test_a_data_set_that_is_not_finished_is_refused(made, tmp_path, lost, words):
    shutil.copytree(made / "png", tmp_path / "png")
    (tmp_path / "png" / lost).unlink()
    with pytest.raises(ValueError, match=words):
        export.export_data_sets(verify.find_data_sets(tmp_path), tmp_path / "set.h5")


def test_two_data_sets_of_one_name_are_refused(made, tmp_path):
    for folder in ("a", "b"):
        shutil.copytree(made / "png", tmp_path / folder / "png")
    with pytest.raises(ValueError, match="found two named png"):
        export.export_data_sets(verify.find_data_sets(tmp_path), tmp_path / "set.h5")


def test_a_key_that_stands_for_two_samples_is_refused(made, tmp_path):
    """The first shard stands there again as the second one, and the manifest says so."""
    train = tmp_path / "gopro/train"
    shutil.copytree(made / "gopro", tmp_path / "gopro")
    first, second = (train / f"gopro-train-00000{k}.json" for k in range(2))
    index = schema.decode_index(first.read_bytes(), "x")
    again = replace(index, tar=second.with_suffix(".tar").name)
    second.write_bytes(schema.encode_index(again))
    shutil.copy(first.with_suffix(".tar"), second.with_suffix(".tar"))
    told = json.loads((train / "manifest.json").read_bytes())
    told.pop("sha256")
    told["shards"][1] = listed_shard(again)
    told["totals"] = {n: sum(s[n] for s in told["shards"]) for n in ("samples", "bytes")}
    (train / "manifest.json").write_bytes(encode_manifest(told))
    with pytest.raises(ValueError, match="000001.tar, gopro-.*: the same key is in another shard"):
        export.export_data_sets(verify.find_data_sets(tmp_path), tmp_path / "set.h5")


def test_a_file_that_is_there_is_left_alone(made, tmp_path):
    (tmp_path / "set.h5").write_text("thesis")
    with pytest.raises(ValueError, match="found one there; remove it, or name another"):
        export.export_data_sets(verify.find_data_sets(made), tmp_path / "set.h5")
    assert (tmp_path / "set.h5").read_text() == "thesis"


def test_a_split_alone_is_refused(made, tmp_path):
    with pytest.raises(ValueError, match="found a split; name the one above"):
        export.export_data_sets(verify.find_data_sets(made / "png/train"), tmp_path / "set.h5")


def test_folders_that_hold_something_else_are_refused(made, exported, tmp_path):
    (tmp_path / "a/gopro").mkdir(parents=True)
    (tmp_path / "a/gopro/thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="thesis.tex.*choose another folder"):
        import_data_sets(exported, tmp_path / "a")
    (tmp_path / "b/gopro").mkdir(parents=True)
    (tmp_path / "b/gopro/plan.json").write_bytes(tree(made)["png/plan.json"])
    with pytest.raises(ValueError, match="b/gopro, found another one; choose another folder"):
        import_data_sets(exported, tmp_path / "b")
    alone = files.held(tmp_path / "c/gopro")
    with alone, pytest.raises(ValueError, match="found another run at work there"):
        import_data_sets(exported, tmp_path / "c")
    assert not list(tmp_path.rglob("*.tar"))


def test_a_shard_of_the_same_name_that_is_another_one_is_refused(made, exported, tmp_path):
    import_data_sets(exported, tmp_path)
    path = tmp_path / "gopro/train/gopro-train-000000.json"
    path.write_bytes(path.read_bytes().replace(b'"failures": []', b'"failures": [["a", "b"]]'))
    with pytest.raises(ValueError, match="found another one; remove it with its index"):
        import_data_sets(exported, tmp_path)


@pytest.mark.parametrize("data", [b"", b"thesis", bytes(10_000)])
def test_what_is_no_hdf5_is_refused(tmp_path, data):
    (tmp_path / "set.h5").write_bytes(data)
    with pytest.raises(ValueError, match="expected an HDF5 file that `blursynth export` wrote"):
        import_data_sets(tmp_path / "set.h5", tmp_path / "out")


def test_a_file_that_is_cut_short_is_refused(exported, tmp_path):
    data = exported.read_bytes()
    (tmp_path / "set.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="set.h5 is damaged"):
        import_data_sets(tmp_path / "set.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def first_key(file):
    return next(name for name in file["gopro/test"] if "." not in name)


def sample_of(file):
    return file["gopro/test"][first_key(file)]


def replaced(group, name, **how):
    del group[name]
    return group.create_dataset(name, **how)


def linked(file, link):
    key = first_key(file)
    del file["gopro/test"][key]
    file["gopro/test"][key] = link


def renamed(file, name):
    file.move("gopro", name)
    file.attrs.modify("data_sets", f'json:["{name}"]')


def rewritten(file, change):
    told = json.loads(bytes(file["gopro/test/manifest.json"][:]))
    change(told)
    told.pop("sha256")
    data = encode_manifest(told)
    replaced(file["gopro/test"], "manifest.json", data=np.frombuffer(data, np.uint8),
             chunks=(len(data),))  # fmt: skip


def other_options(told):
    told["options"]["seed"] = 7
    shaping = {name: told[name] for name in verify.SHAPING}
    told["fingerprint"] = hashlib.sha256(schema.encode_json(shaping)).hexdigest()


def swapped(file):
    """The two shards of a split in each other's place, which the manifest is told too."""
    group, names = file["gopro/test"], [f"gopro-test-00000{k}.json" for k in range(2)]
    data = [group[name][:] for name in reversed(names)]
    for name, one in zip(names, data, strict=True):
        replaced(group, name, data=one, chunks=one.shape)

    def change(told):
        digests = [shard["index_sha256"] for shard in told["shards"]]
        for shard, digest in zip(told["shards"], reversed(digests), strict=True):
            shard["index_sha256"] = digest

    rewritten(file, change)


ABSURD = {"shape": (10**6, 8192, 8192, 3), "dtype": "u1", "chunks": (1, 8192, 8192, 3)}
DAMAGES = {
    "foreign": (lambda f: f.attrs.clear(), "found another HDF5 file"),
    "earlier": (lambda f: f.attrs.modify("version", 1), "this version of `blursynth export`"),
    "later": (lambda f: f.attrs.modify("version", 3), "this version of `blursynth export`"),
    "no data set": (lambda f: f.__delitem__("gopro"), "data sets gopro in /, found none"),
    "another data set": (lambda f: f.create_group("more"), "gopro in /, found gopro, more"),
    "a split is lost": (
        lambda f: f["gopro"].__delitem__("train"),
        "splits test, train in /gopro, found test",
    ),
    "no splits": (
        lambda f: [f["gopro"].__delitem__(split) for split in ("train", "test")],
        "splits test, train in /gopro, found none",
    ),
    "a split in the place of another": (
        lambda f: (f["gopro"].__delitem__("train"), f.copy("gopro/test", "gopro/train")),
        "shards in /gopro/train, found 'gopro-test",
    ),
    "no list": (lambda f: f.attrs.__delitem__("data_sets"), "`data_sets` of / to list names"),
    "an empty list": (lambda f: f.attrs.create("data_sets", "json:[]"), "to list names"),
    "a list of numbers": (lambda f: f.attrs.create("data_sets", [1, 2]), "to list names"),
    "a list of lists": (lambda f: f.attrs.create("data_sets", "json:[[]]"), "to list names"),
    "names twice": (
        lambda f: f.attrs.create("data_sets", 'json:["gopro", "gopro"]'),
        "gopro, gopro in /, found gopro",
    ),
    "no plan": (lambda f: f["gopro"].__delitem__("plan.json"), "plan.json is missing"),
    "no manifest": (lambda f: f["gopro/test"].__delitem__("manifest.json"), "json is missing"),
    "no sample": (lambda f: f["gopro/test"].__delitem__(first_key(f)), "samples are not those"),
    "one more": (lambda f: f["gopro/test"].create_group("more"), "samples are not those"),
    "more splits": (lambda f: f["gopro"].create_group("validation"), "found 'validation'"),
    "no blur": (lambda f: sample_of(f).__delitem__("blur"), "blur is missing"),
    "blur is a group": (
        lambda f: (sample_of(f).__delitem__("blur"), sample_of(f).create_group("blur")),
        "blur to be a dataset",
    ),
    "more beside": (lambda f: sample_of(f).create_group("flow"), "found besides: .'flow'"),
    "floats": (
        lambda f: replaced(sample_of(f), "blur", shape=(24, 24, 3), dtype="f4"),
        "uint8 of shape",
    ),
    "another size": (
        lambda f: replaced(sample_of(f), "blur", data=np.zeros((24, 25, 3), "u1")),
        "uint8 of shape .24, 24, 3.",
    ),
    "absurd": (lambda f: replaced(sample_of(f), "frames", **ABSURD), "found uint8, .1000000, 8192"),
    "never written": (
        lambda f: replaced(sample_of(f), "blur", shape=(24, 24, 3), dtype="u1", chunks=(24, 24, 3)),
        "a part of .*blur is missing",
    ),
    "another filter": (
        lambda f: replaced(
            sample_of(f),
            "blur",
            data=np.ones((24, 24, 3), "u1"),
            chunks=(24, 24, 3),
            compression="lzf",
        ),
        "another filter",
    ),
    "stored elsewhere": (
        lambda f: replaced(
            sample_of(f), "blur", shape=(24, 24, 3), dtype="u1", external=[("/etc/passwd", 0, 1728)]
        ),
        "in chunks of",
    ),
    "bytes without end": (
        lambda f: replaced(
            f["gopro"], "plan.json", shape=(1 << 40,), dtype="u1", chunks=(1 << 20,)
        ),
        "at most 268435456 bytes",
    ),
    "an empty plan": (
        lambda f: replaced(f["gopro"], "plan.json", shape=(0,), dtype="u1"),
        "plan.json: it is dam",
    ),
    "another pixel": (
        lambda f: sample_of(f)["blur"].write_direct(np.zeros((24, 24, 3), "u1")),
        "would not be the",
    ),
    "a soft link": (lambda f: linked(f, h5py.SoftLink("/gopro/train")), "a link to elsewhere"),
    "a link outside": (
        lambda f: linked(f, h5py.ExternalLink("/etc/passwd", "/")),
        "a link to elsewhere",
    ),
    "a folder above": (lambda f: renamed(f, ".."), "of letters, digits"),
    "another name": (lambda f: renamed(f, "other"), "expected indexes of shards in /other"),
    "texts": (
        lambda f: sample_of(f).attrs.create("source", ["a"] * 9, dtype=h5py.string_dtype()),
        "expected `source` to be a text or numbers",
    ),
    "numbers without end": (
        lambda f: sample_of(f).attrs.create("times", np.zeros(1 << 21)),
        "to be a text or numbers",
    ),
    "a text without end": (
        lambda f: sample_of(f).attrs.create("source", "x" * (1 << 21)),
        "1048576 bytes of metadata",
    ),
    "nothing": (
        lambda f: sample_of(f).attrs.create("source", h5py.Empty("f8")),
        "to hold something",
    ),
    "no JSON": (lambda f: sample_of(f).attrs.create("source", "json:[[["), "expected JSON after"),
    "deep JSON": (
        lambda f: sample_of(f).attrs.create("source", "json:" + "[" * 60_000),
        "expected JSON after",
    ),
    "metadata that lack n": (lambda f: sample_of(f).attrs.__delitem__("n"), "metadata lacks n"),
    "another manifest": (
        lambda f: rewritten(f, lambda told: told["shards"][0].update(tar="../../x.tar")),
        "indexes are not those",
    ),
    "a number for a tar": (
        lambda f: rewritten(f, lambda told: told["shards"][0].update(tar=5)),
        "indexes are not those",
    ),
    "no digests": (
        lambda f: rewritten(f, lambda told: told["shards"][0].pop("index_sha256")),
        "set.h5 is damaged",
    ),
    "other options": (
        lambda f: rewritten(f, lambda told: told["options"].update(seed=7)),
        "fingerprint is not",
    ),
    "another plan": (lambda f: rewritten(f, other_options), "tells other data than plan.json"),
    "shards in each other's place": (swapped, "it is the index of another shard"),
    "metadata twice": (
        lambda f: hdf5.put_file(sample_of(f), "meta.json", b"{}"),
        "expected the metadata as attributes alone",
    ),
    "other bytes beside the pixels": (
        lambda f: hdf5.put_file(
            sample_of(f), "blur.png", schema.encode_image(np.zeros((24, 24, 3), np.uint8), "png")
        ),
        "member blur.png: its bytes are not those of its pixels",
    ),
    "no shards": (lambda f: rewritten(f, lambda told: told.update(shards="none")), "it is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_as_it_was_written_is_refused(made, tmp_path, damage):
    change, words = DAMAGES[damage]
    path = tmp_path / "set.h5"
    export.export_data_sets(verify.find_data_sets(made / "gopro"), path)
    with h5py.File(path, "r+", libver=hdf5.LIBRARY) as file:
        change(file)
    with pytest.raises(ValueError, match=words):
        import_data_sets(path, tmp_path / "out")
    written = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert not [name for name in written if "test" in name or name.endswith(".partial")]
    assert sorted(p.name for p in tmp_path.iterdir()) in (["out", "set.h5"], ["set.h5"])
