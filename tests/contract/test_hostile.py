"""Law 10: whatever a shard or an index holds, reading it ends in samples or in a sentence that
names shard and key; nothing of it is ever run."""

import io
import json
import pickle
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from blursynth import schema
from blursynth.shards import ShardName, write_shard
from blurvid.index import find_mixture
from blurvid.stream import read_samples

from ..conftest import make_sample

FIRST, SECOND = "clip-0123456789abcdef-000000", "clip-0123456789abcdef-000001"


@dataclass(frozen=True)
class Entry:
    """One member of a tar."""

    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def entries():
    """Two good samples."""
    members = schema.encode_sample(make_sample())
    return [Entry(f"{key}.{n}", data) for key in (FIRST, SECOND) for n, data in members.items()]


def tar_of(these):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in these:
            header = tarfile.TarInfo(entry.name)
            header.size, header.type, header.linkname = len(entry.data), entry.type, entry.link
            tar.addfile(header, io.BytesIO(entry.data))
    return buffer.getvalue()


def plain(folder, data, name="a.tar"):
    path = folder / "plain" / "train" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read_all(folder):
    mixture = find_mixture(folder, split="train", frames=3)
    return list(read_samples(mixture, range(mixture.sample_count)))


def test_a_plain_tar_that_keeps_the_contract_is_read(tmp_path):
    plain(tmp_path, tar_of(entries()))
    assert [sample.key for sample in read_all(tmp_path)] == [FIRST, SECOND]


# --- what a plain tar may hold ---------------------------------------------------------------


def with_more(*more):
    return lambda: tar_of([*entries(), *more])


def with_member(name, data):
    """The second sample's member of that name holds `data`."""
    return lambda: tar_of(
        replace(e, data=data) if e.name == f"{SECOND}.{name}" else e for e in entries()
    )


def without(name):
    return lambda: tar_of(e for e in entries() if e.name != f"{SECOND}.{name}")


def with_meta(**changes):
    return with_member("meta.json", json.dumps({**make_sample().meta, **changes}).encode())


def interleaved():
    first, second = entries()[:5], entries()[5:]
    return tar_of([*first[:2], *second, *first[2:]])


def header_at(data, name):
    return data.index(name.encode() + b"\0")


def bad_header():
    data = bytearray(tar_of(entries()))
    data[header_at(data, f"{SECOND}.blur.png") + 130] ^= 1
    return bytes(data)


def claiming(size, type_of=tarfile.REGTYPE):
    """A last header that says to be followed by `size` bytes."""
    header = tarfile.TarInfo(f"{SECOND}.x")
    header.size, header.type = size, type_of
    return lambda: without_end() + header.tobuf() + bytes(1024)


def cut_in_data():
    data = tar_of(entries())
    return data[: header_at(data, f"{SECOND}.meta.json") + 600]


def cut_in_a_header():
    data = tar_of(entries())
    return data[: header_at(data, f"{SECOND}.meta.json") + 100]


def without_end():
    data = tar_of(entries()).rstrip(b"\0")
    return data + bytes(-len(data) % 512)


def two_joined():
    return tar_of(entries()[:5]) + tar_of(entries()[5:])


def big_picture():
    """The header of a PNG of 100 megapixels, and little behind it."""
    data = bytearray(schema.encode_image(make_sample().blur, "png"))
    data[16:24] = (10_000).to_bytes(4, "big") * 2
    return bytes(data)


def pickled_array():
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def linked(kind):
    return with_more(Entry(f"{SECOND}.x", type=kind, link="/etc/passwd"))


PNG = schema.encode_image(make_sample().blur, "png")
PIXELS = f"sample {SECOND}, member {{}}: expected at most [0-9]+ pixels, found 10000x10000"
HOSTILE_TARS = {
    "pickle": (with_more(Entry(f"{SECOND}.x.pkl", b"x")), f"sample {SECOND}: .*not list: .*x.pkl"),
    "module": (with_more(Entry(f"{SECOND}.x.pyd", b"x")), f"sample {SECOND}: .*not list: .*x.pyd"),
    "weights": (with_more(Entry(f"{SECOND}.pth", b"x")), f"sample {SECOND}: .*not list: .*pth"),
    "lone pickle": (with_more(Entry("evil.pkl", b"x")), "sample evil: expected one member blur"),
    "dots": (with_more(Entry("../up.blur.png", PNG)), r"member '../up.blur.png': .* without"),
    "absolute": (with_more(Entry("/etc/up.png", PNG)), "member '/etc/up.png': .* without"),
    "folder name": (with_more(Entry("a/b.blur.png", PNG)), "member 'a/b.blur.png': .* without"),
    "backslash": (with_more(Entry("a\\b.blur.png", PNG)), r"member 'a.*b.blur.png': .* without"),
    "no key": (with_more(Entry(".blur.png", PNG)), "member '.blur.png': expected a key"),
    "control": (with_more(Entry("a\x1b[2J.blur.png")), r"member 'a\\x1b\[2J.blur.png': .* key"),
    "symbolic link": (linked(tarfile.SYMTYPE), f"{SECOND}.x': .* found a symbolic link"),
    "hard link": (linked(tarfile.LNKTYPE), f"{SECOND}.x': .* found a hard link"),
    "folder": (linked(tarfile.DIRTYPE), f"{SECOND}.x': .* found a folder"),
    "named pipe": (linked(tarfile.FIFOTYPE), f"{SECOND}.x': .* found a named pipe"),
    "device": (linked(tarfile.CHRTYPE), f"{SECOND}.x': .* found a device"),
    "unknown type": (linked(b"Z"), f"{SECOND}.x': .* found something else"),
    "missing frame": (without("frame.001.png"), f"{SECOND}: its member frame.[0-9]+.png is miss"),
    "missing meta": (without("meta.json"), f"{SECOND}: its member meta.json is missing"),
    "missing blur": (without("blur.png"), f"{SECOND}: expected one member blur"),
    "two formats": (with_more(Entry(f"{SECOND}.blur.jpg")), f"{SECOND}: expected one member blur"),
    "extra": (with_more(Entry(f"{SECOND}.txt")), f"sample {SECOND}: .*not list: .*txt"),
    "duplicate": (with_more(entries()[-1]), f"{SECOND}: its member meta.json is there twice"),
    "sample again": (with_more(*entries()[:5]), f"{FIRST}: its members do not stand together"),
    "interleaved": (interleaved, f"sample {FIRST}: its members do not stand together"),
    "bad header": (bad_header, f"bad header at byte [0-9]+, after member '{FIRST}.meta.json'"),
    "large header": (claiming(1 << 30, b"L"), "bad header at byte [0-9]+ .*a header of 1073741824"),
    "large member": (claiming(1 << 30), f"sample {SECOND}, member x: expected at most"),
    "long member": (claiming(1 << 20), f"sample {SECOND}, member x: the tar is cut short"),
    "cut in data": (cut_in_data, f"sample {SECOND}, member meta.json: the tar is cut short at"),
    "cut in a header": (cut_in_a_header, f"at byte [0-9]+, after member '{SECOND}.frame.002.png'"),
    "no end": (without_end, f"cut short at byte [0-9]+, after member '{SECOND}.meta.json'"),
    "two joined": (two_joined, f"bad header at byte [0-9]+, after member '{FIRST}.meta.json'"),
    "empty": (bytes, "expected a tar, found an empty file"),
    "no tar": (lambda: b"\x1f\x8b" * 2000, "bad header at byte 0"),
    "large blur": (with_member("blur.png", big_picture()), PIXELS.format("blur.png")),
    "large frame": (with_member("frame.001.png", big_picture()), PIXELS.format("frame.001.png")),
    "no picture": (with_member("blur.png", b"GIF89a"), f"{SECOND}, member blur.png: .*not begin"),
    "pickled array": (
        lambda: tar_of(
            [Entry(e.name.replace(".png", ".npy"), pickled_array()) for e in entries()[5:9]]
            + entries()[9:]
        ),
        f"sample {SECOND}, member blur.npy: its npy header is damaged",
    ),
    "deep meta": (with_member("meta.json", b"[" * 200_000), f"{SECOND}: its meta.json is not JSON"),
    "large meta": (with_member("meta.json", bytes(1 << 21)), f"{SECOND}: its meta.json has 20971"),
    "direction": (with_meta(direction=[0, 1, float("nan")]), f"{SECOND}: expected `direction`"),
    "frames": (with_meta(times=[0, 1]), f"{SECOND}: expected 2 frames .*found 3"),
}


@pytest.mark.parametrize(("harmed", "sentence"), HOSTILE_TARS.values(), ids=HOSTILE_TARS)
def test_a_hostile_plain_tar_is_refused_by_name_and_key(tmp_path, harmed, sentence):
    path = plain(tmp_path, harmed())
    with pytest.raises(ValueError, match=sentence) as caught:
        read_all(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_key_of_two_plain_tars_is_refused(tmp_path):
    for name in ("a.tar", "b.tar"):
        plain(tmp_path, tar_of(entries()), name)
    with pytest.raises(ValueError, match=f"b.tar: sample {FIRST} is there again, after .*a.tar"):
        read_all(tmp_path)


# --- what an index may say -------------------------------------------------------------------


def indexed(folder):
    """A shard of blursynth with both samples."""
    name = ShardName(str(folder), "clip", "train", 0)
    samples = [replace(make_sample(), key=key) for key in (FIRST, SECOND)]
    write_shard(name, samples, fingerprint="f" * 64, image_format="png")
    return name


def forge(name, change):
    """`change` is told what the index says of the second sample, and all that it says."""
    index = json.loads(name.index.read_bytes())
    change(index["samples"][1], index)
    name.index.write_text(json.dumps(index))


def place(member, offset_size):
    return lambda sample, index: sample["members"].update({member: offset_size})


def drop(member):
    return lambda sample, index: sample["members"].pop(member)


def key(value):
    return lambda sample, index: sample.update(key=value)


def swap(sample, index):
    members = sample["members"]
    first, last = members["frame.000.png"], members["frame.002.png"]
    members.update({"frame.000.png": last, "frame.002.png": first})


def shift(sample, index):
    offset, size = sample["members"]["blur.png"]
    sample["members"]["blur.png"] = [offset + 512, size - 512]


OTHER = "its tar header does not say"
FORGED = {
    "pickle": (place("x.pkl", [512, 9]), f"000000.json: sample {SECOND}: .*not list: .*x.pkl"),
    "missing": (drop("frame.000.png"), f"json: sample {SECOND}: its member frame.000.png is miss"),
    "no blur": (drop("blur.png"), f"json: sample {SECOND}: expected one member blur"),
    "outside": (place("blur.png", [1 << 40, 9]), f"json: sample {SECOND}, member blur.png: .*in"),
    "no header": (place("blur.png", [0, 9]), f"json: sample {SECOND}, member blur.png: .*in"),
    "negative": (place("blur.png", [-1, 9]), "000000.json is damaged"),
    "large": (place("blur.png", [512, 1 << 40]), "000000.json is damaged"),
    "no number": (place("blur.png", ["a", 9]), "000000.json is damaged"),
    "up": (key("../up"), "000000.json: expected a key .*found '../up'"),
    "no key": (key(""), "000000.json: expected a key .*found ''"),
    "same key": (key(FIRST), f"000000.tar: sample {FIRST} is there again"),
    "other key": (key("other"), f"000000.tar: sample other, member blur.png: {OTHER}"),
    "swapped": (swap, f"000000.tar: sample {SECOND}, member frame.000.png: {OTHER}"),
    "shifted": (shift, f"000000.tar: sample {SECOND}, member blur.png: {OTHER}"),
    "other tar": (lambda sample, index: index.update(tar="../../x.tar"), "000000.json: expected"),
}


@pytest.mark.parametrize(("change", "sentence"), FORGED.values(), ids=FORGED)
def test_a_forged_index_is_refused_by_shard_and_key(tmp_path, change, sentence):
    forge(indexed(tmp_path), change)
    with pytest.raises(ValueError, match=sentence):
        read_all(tmp_path)


def test_an_index_of_brackets_in_brackets_is_no_index(tmp_path):
    indexed(tmp_path).index.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="000000.json is not the index of a shard"):
        read_all(tmp_path)


@pytest.mark.parametrize("byte", [0, 124, 148, 156, 345])
def test_a_bad_header_in_mid_archive_is_found_beside_an_index_too(tmp_path, byte):
    name = indexed(tmp_path)
    data = bytearray(name.tar.read_bytes())
    data[header_at(data, f"{SECOND}.blur.png") + byte] ^= 1
    name.tar.write_bytes(data)
    with pytest.raises(ValueError, match=f"tar: sample {SECOND}, member blur.png: {OTHER}"):
        read_all(tmp_path)


# --- nothing is run --------------------------------------------------------------------------


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", ["x.pkl", "x.pyd", "x.pth", "blur.npy", "meta.json"])
def test_what_would_run_when_unpickled_is_refused_unread(tmp_path, suffix):
    bomb = pickle.dumps(Evil(tmp_path / "pwned"))
    if suffix == "blur.npy":
        bomb = pickled_array().partition(b"\n")[0] + b"\n" + bomb
    these = [e for e in entries() if e.name != f"{SECOND}.{suffix}"]
    plain(tmp_path, tar_of([*these, Entry(f"{SECOND}.{suffix}", bomb)]))
    with pytest.raises(ValueError, match=f"a.tar: sample {SECOND}"):
        read_all(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_a_tar_whose_name_is_a_command_is_only_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain(Path(), tar_of(entries()), "pipe:touch pwned.tar")
    assert len(read_all(Path())) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "plain"]


def test_a_link_to_a_tar_is_that_tar(tmp_path):
    (tmp_path / "elsewhere.tar").write_bytes(tar_of(entries()))
    (tmp_path / "plain" / "train").mkdir(parents=True)
    (tmp_path / "plain" / "train" / "a.tar").symlink_to(tmp_path / "elsewhere.tar")
    assert len(read_all(tmp_path)) == 2


def test_what_is_no_file_is_not_opened(tmp_path):
    (tmp_path / "plain" / "train" / "a.tar").mkdir(parents=True)
    with pytest.raises(ValueError, match="a.tar: expected a tar, found something that is no file"):
        read_all(tmp_path)
