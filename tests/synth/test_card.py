"""The card of a split: true, the same for the same command, and broken by no name."""

import json
import os
import re

import cv2
import numpy as np
import pytest

from blursynth import card, generate, schema, sheet
from blursynth.sources import SHEET_NAME

from ..conftest import make_picture, write_image

NASTY = "a | b`c`\nd **e** [f](g) <h> # $i$ \\ ~ \x1b.png"


def manifest_of(**changed):
    """What a manifest says of two shards."""
    shards = [{"tar": f"clip-train-{k:06d}.tar"} for k in range(2)]
    told = {
        "kind": "video",
        "data_set": "clip",
        "split": "train",
        "tool_version": "0.1.0",
        "fingerprint": "f" * 64,
        "options": {"n": 7, "image_format": "png", "limit": None, "camera": {"xi": 0.0, "noise": {"read": 0.5}}},
        "options_left_out": {"rotation": {"path": "slerp"}},
        "sources": [[f"s{k}", 1, "0"] for k in range(12)],
        "shards": shards,
        "totals": {"samples": 1200, "bytes": 34_500_000},
        "statistics": {"n": {"count": 2, "sum": 16, "min": 7, "max": 9}},
        "failures": [],
        "run": {"seconds": 1.0},
    }
    return {**told, **changed}


def index_of(sources=("s0", "s1"), samples=4):
    members = dict.fromkeys(schema.member_names(7, "png"), (512, 9))
    entries = tuple(schema.IndexedSample(f"k{k}", members) for k in range(samples))
    texts = dict.fromkeys(schema.INDEX_TEXTS, "x")
    return schema.ShardIndex(
        **texts, tar_bytes=9, size_hw=(24, 32), samples=entries, sources=tuple(sources),
        failures=(), statistics={},
    )  # fmt: skip


def text_of(manifest=None, *, sources=("s0", "s1"), command="", licence="", rows=()):
    manifest = manifest or manifest_of()
    return card.card_text(manifest, [index_of(sources)], rows, command=command, licence=licence)


def rows_of(text):
    """The cells of every line of a table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_it_says_what_there_is():
    text = text_of()
    assert "# clip, train\n" in text and "1,200 samples in 2 shards (34.5 MB)" in text
    assert "a blurred image of 32x24 pixels, 7 sharp frames" in text
    assert [" n ", " 8 ", " 7 ", " 9 ", " frames averaged "] in rows_of(text)
    assert [" camera.xi ", " 0.0 "] in rows_of(text) and "limit" not in text
    assert [" rotation.path ", " slerp "] in rows_of(text)
    assert [" camera.noise.read ", " 0.5 "] in rows_of(text)
    assert "2 of the data set's 12 gave these samples.\n\n- s0\n- s1\n" in text
    assert 'WebDataset("clip-train-{000000..000001}.tar"' in text


def test_the_time_of_the_run_is_not_in_it():
    assert text_of(manifest_of(run={"seconds": 99.0, "machine": "another"})) == text_of()


def test_no_name_of_a_source_breaks_a_line_a_table_or_the_code():
    row = sheet.Row("k0", NASTY, 7, float("nan"), ())
    failures = [[NASTY, "it is\ndamaged | `badly`"]]
    text = text_of(manifest_of(failures=failures), sources=[NASTY], rows=[row], command=NASTY)
    assert {len(cells) for cells in rows_of(text)[:3]} == {4}
    listed = [line for line in text.splitlines() if line.startswith("- a ")]
    assert len(listed) == 2 and all(r"a \| b\`c\` d \*\*e\*\* \[f\](g)" in one for one in listed)
    assert f"\n```\n{NASTY}\n```\n" in text


@pytest.mark.parametrize(
    "name, safe",
    [("- x", r"\- x"), ("12. x", r"12\. x"), ("    x", "x"), ("1.5", "1.5"), ("---", r"\---")],
)
def test_no_name_begins_a_list_or_a_block(name, safe):
    assert card.plain(name) == safe


def test_a_fence_is_longer_than_any_in_the_text():
    assert card.fenced("a ```` b") == "`````\na ```` b\n`````"
    assert card.fenced("a") == "```\na\n```"


@pytest.mark.parametrize(
    "licence, fields, words",
    [
        ("", {"license": "unknown"}, "The licence of these data is not stated."),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}, "Licence of these data: CC-BY-4.0."),
        (
            'ours: "no" | #1, \\o/ ä',
            {"license": "other", "license_name": 'ours: "no" | #1, \\o/ ä'},
            r"Licence of these data: ours: ",
        ),
    ],
)
def test_the_licence_is_said_as_given_or_said_to_be_missing(licence, fields, words):
    yaml = pytest.importorskip("yaml")
    text = text_of(licence=licence)
    head = yaml.safe_load(text.split("---\n")[1])
    assert {name: head[name] for name in head if name.startswith("license")} == fields
    assert words in text and "The licences of the sources apply" in text
    assert head["pretty_name"] == "clip (train)" and head["size_categories"] == ["1K<n<10K"]
    assert head["task_categories"] == ["image-to-image"] and "motion-blur" in head["tags"]


@pytest.mark.parametrize("licence", ["two\nlines", " ", "x" * 201, "a\x00"])
def test_a_licence_that_is_no_line_is_refused_before_anything_is_made(licence):
    with pytest.raises(ValueError, match="expected --licence of up to 200 printable"):
        generate.RunOptions(licence=licence)


@pytest.mark.parametrize(
    "samples, category",
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (29_200, "10K<n<100K"), (10**12, "100M<n<1B")],
)
def test_sizes_are_named_as_hubs_name_them(samples, category):
    assert card.size_category(samples) == category


def test_long_lists_are_cut_and_counted():
    sources = [f"s{k}" for k in range(12)]
    text = text_of(manifest_of(failures=[[s, "gone"] for s in sources]), sources=sources)
    assert "- s7\n- and 4 more; `manifest.json` lists all with their digests" in text
    assert "- s7: gone\n- and 4 more; `manifest.json` lists all\n" in text


# --- the pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(3,), (4, 0, 9), (1, 1, 1, 1, 1, 1, 1, 1), (0,), (500, 1)])
def test_samples_are_spread_evenly_each_once(sizes):
    indexes = [index_of(samples=size) for size in sizes]
    starts = np.cumsum([0, *sizes])
    numbers = [
        int(starts[next(i for i, one in enumerate(indexes) if one is shard)]) + int(entry.key[1:])
        for shard, entry in sheet.spread(indexes, 6)
    ]
    assert numbers == sorted(set(numbers)) and len(numbers) == min(6, sum(sizes))
    gaps = np.diff([-sum(sizes) / 12, *numbers])
    assert not numbers or gaps.max() <= sum(sizes) / len(numbers) + 1


def test_of_501_samples_those_in_the_middle_of_each_sixth_are_shown():
    chosen = sheet.spread([index_of(samples=501)], 6)
    assert [entry.key for _, entry in chosen] == ["k41", "k125", "k208", "k292", "k375", "k459"]


def test_a_row_is_blur_first_middle_last_and_large_pictures_are_made_smaller():
    shades = [np.full((24, 32, 3), value, np.uint8) for value in (10, 20, 30, 40)]
    large = [np.full((400, 200, 3), 50, np.uint8)] * 4
    rows = [sheet.Row("k", "s", 7, 1.0, tuple(pictures)) for pictures in (shades, large)]
    image = sheet.contact_sheet(rows)
    assert image.shape == (32 + 200, 4 * 104, 3)
    assert [image[16, 4 + 40 * k + 16, 0] for k in range(4)] == [10, 20, 30, 40]
    assert image[32 + 100, 52, 0] == 50 and image[16, 4 * 40 + 9, 0] == 255


# --- beside the shards -------------------------------------------------------------------------

PANORAMA = ("panorama", "--size", 16, "--per-panorama", 3, "--samples-per-shard", 3, "--jobs", 1)


@pytest.fixture
def made(blursynth, sun360, tmp_path):
    """What a run with a licence left in its folder, and its arguments."""
    arguments = (*PANORAMA, "--src", sun360, "--out", tmp_path / "my shards", "--frames", "all",
                 "--licence", "my own; ask")  # fmt: skip
    assert blursynth(*arguments)[0] == 0
    return tmp_path / "my shards/panorama", arguments


def test_the_command_stands_there_as_a_shell_takes_it(made):
    folder, _ = made
    text = (folder / "train/README.md").read_text()
    typed = next(line for line in text.splitlines() if line.startswith("blursynth panorama"))
    assert f"--out '{folder.parent}' --frames all --licence 'my own; ask'" in typed


def test_the_same_command_gives_the_same_card(made, blursynth):
    folder, arguments = made
    files = [folder / split / name for split in ("train", "test") for name in card.CARD_NAMES]
    before = [file.read_bytes() for file in files]
    assert blursynth(*arguments, "--overwrite")[0] == 0
    for split in ("train", "test"):
        (folder / split / "manifest.json").unlink()
    assert blursynth(*arguments)[0] == 0
    assert [file.read_bytes() for file in files] == before


def test_the_sheet_shows_what_the_shards_hold(made):
    folder, _ = made
    image = cv2.imread(str(folder / "test" / SHEET_NAME), cv2.IMREAD_COLOR_RGB)
    path = folder / "test/panorama-test-000000.tar"
    index, data = (
        schema.decode_index(path.with_suffix(".json").read_bytes(), "x"),
        path.read_bytes(),
    )
    assert image.shape == (len(index.samples) * 24, 4 * 24, 3)
    for row, entry in enumerate(index.samples):
        members = {name: data[at : at + size] for name, (at, size) in entry.members.items()}
        sample = schema.decode_sample(entry.key, members)
        m = len(sample.frames)
        shown = [sample.blur, *sample.frames[[0, m // 2, m - 1]]]
        for column, picture in enumerate(shown):
            top, left = 24 * row + 4, 24 * column + 4
            assert np.array_equal(image[top : top + 16, left : left + 16], picture)
        assert entry.key in (folder / "test/README.md").read_text()


def test_the_lines_for_python_read_the_shards(made, monkeypatch):
    folder, _ = made
    monkeypatch.chdir(folder / "train")
    (code,) = re.findall(r"```python\n(.*?)\n```", (folder / "train/README.md").read_text(), re.S)
    exec(code, told := {})
    samples = list(told["samples"])
    assert len(samples) == 9 and all(s["blur.png"].shape == (16, 16, 3) for s in samples)


def test_the_lines_for_the_shell_are_true(made, blursynth, monkeypatch):
    folder, _ = made
    monkeypatch.chdir(folder.parent)
    code, out, _ = blursynth("verify", "panorama/", "--jobs", 1)
    assert code == 0 and "intact" in out
    assert (
        "blursynth verify panorama/\nblurvid train --shards panorama/"
        in (folder / "train/README.md").read_text()
    )


def test_a_sheet_below_src_is_no_source(blursynth, tmp_path):
    for k in range(4):
        write_image(tmp_path / "src" / f"place {k}.png", make_picture(64, 128, k))
    arguments = (*PANORAMA, "--src", tmp_path / "src", "--out", tmp_path / "src/shards")
    assert blursynth(*arguments)[0] == 0
    code, out, err = blursynth(*arguments)
    assert (code, err) == (0, "") and "already complete: 9 train samples" in out
    write_image(tmp_path / "src" / SHEET_NAME, make_picture(64, 128, 9))
    code, _, err = blursynth(*arguments)
    assert code == 2 and f"1 source is new ({SHEET_NAME})" in err


def test_a_finished_shard_that_is_damaged_is_named(made, blursynth):
    folder, arguments = made
    tar = folder / "train/panorama-train-000001.tar"
    index = json.loads(tar.with_suffix(".json").read_bytes())
    data = bytearray(tar.read_bytes())
    for sample in index["samples"]:
        data[sample["members"]["blur.png"][0] + 40] ^= 1
    tar.write_bytes(data)
    os.unlink(folder / "train/manifest.json")
    code, _, err = blursynth(*arguments)
    assert code == 2 and f"{tar} is damaged: sample panorama-" in err and "makes it anew" in err
