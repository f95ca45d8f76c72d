"""`--interpolate`, `--path`, `--read-noise`, `--shot-noise` as users type them."""

import json

import pytest

from blursynth.schema import META_NAME, decode_index


def first_meta(folder):
    (path, *_) = sorted(folder.rglob("*-train-000000.json"))
    index, data = decode_index(path.read_bytes(), "x"), path.with_suffix(".tar").read_bytes()
    at, size = index.samples[0].members[META_NAME]
    return json.loads(data[at : at + size])


@pytest.mark.parametrize("command, own", [("panorama", "--path"), ("gopro", "--interpolate")])
def test_help_says_where_the_noise_is(blursynth, command, own):
    code, out, _ = blursynth(command, "--help")
    words = " ".join(out.split())
    assert code == 0 and own in out
    assert words.count("in the blurred image alone; the sharp frames stay clean") == 2


def test_a_shaken_noisy_data_set_is_made_and_drawn_anew(blursynth, sun360, tmp_path):
    code, _, err = blursynth(
        "panorama", "--src", sun360, "--out", tmp_path / "s", "--size", 16, "--per-panorama", 2,
        "--jobs", 1, "--path", "shake", "--read-noise", 0.01, "--shot-noise", 0.02,
    )  # fmt: skip
    assert (code, err) == (0, "")
    meta = first_meta(tmp_path / "s")
    assert (meta["read_noise"], meta["shot_noise"], meta["exact_mean"]) == (0.01, 0.02, False)
    assert len(meta["shake_deg"]) == 4
    again = ("--rerender", 8, "--src", sun360, "--jobs", 1)
    code, out, _ = blursynth("verify", tmp_path / "s", *again)
    assert code == 0 and "intact" in out


def test_an_interpolated_noisy_data_set_is_made_and_drawn_anew(blursynth, gopro, tmp_path):
    code, _, err = blursynth(
        "gopro", "--src", gopro, "--out", tmp_path / "s", "--crop", 32, "--n", 5, "--jobs", 1,
        "--interpolate", 3, "--shot-noise", 0.02,
    )  # fmt: skip
    assert (code, err) == (0, "")
    meta = first_meta(tmp_path / "s")
    assert (meta["n"], meta["interpolated"], meta["shot_noise"]) == (17, 3, 0.02)
    assert "read_noise" not in meta and len(meta["times"]) == 5
    code, out, _ = blursynth("verify", tmp_path / "s", "--rerender", 8, "--src", gopro, "--jobs", 1)
    assert code == 0 and "intact" in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["panorama", "--read-noise", "nan"], "--read-noise from 0 to 1, found nan"),
        (["panorama", "--shot-noise", "-1"], "--shot-noise of 0, or from 1e-06 to 1, found -1"),
        (["panorama", "--path", "walk"], "'walk' is not one of"),
        (["gopro", "--interpolate", "-1"], "--interpolate from 0 to 63, found -1"),
        (["gopro", "--read-noise", "2"], "--read-noise from 0 to 1, found 2"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(blursynth, tmp_path, arguments, words):
    code, out, err = blursynth(*arguments, "--out", tmp_path / "s")
    assert code == 2 and out == "" and words in err and "Traceback" not in err
    assert not list(tmp_path.rglob("*.tar"))
