"""`blursynth export` and `blursynth import` as users type them."""

import pytest


@pytest.fixture
def made(blursynth, sun360, tmp_path):
    """The folder of shards of four panoramas."""
    blursynth("panorama", "--src", sun360, "--out", tmp_path / "shards", "--size", 16,
        "--per-panorama", 2, "--samples-per-shard", 2, "--jobs", 1)  # fmt: skip
    return tmp_path / "shards"


@pytest.mark.parametrize(
    "command, example",
    [("export", "blursynth export shards/ set.h5"), ("import", "blursynth import set.h5 shards/")],
)
def test_help_says_what_is_read_and_written_with_an_example(blursynth, command, example):
    code, out, _ = blursynth(command, "--help")
    assert code == 0 and f"Example:  {example}" in out
    assert command == "import" or 'h5py.File("set.h5")["panorama/train/KEY"]' in out


def test_there_and_back_in_a_line_each(blursynth, made, tmp_path):
    code, out, err = blursynth("export", made, tmp_path / "set.h5")
    assert (code, err) == (0, "") and out.count("\n") == 1
    assert out.startswith(f"{tmp_path}/set.h5: 8 samples of 1 data set, ")
    code, out, err = blursynth("import", tmp_path / "set.h5", tmp_path / "back")
    assert (code, out, err) == (0, f"{tmp_path}/back: 8 samples of 1 data set\n", "")
    code, out, _ = blursynth("verify", tmp_path / "back", "--jobs", 1)
    assert code == 0 and "8 samples in 4 shards read; intact" in out
    for path in (made / "panorama").glob("t*/*"):
        back = tmp_path / "back" / path.relative_to(made)
        assert back.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["export", "nowhere", "set.h5"], "expected a folder of data sets at nowhere"),
        (["export", "sun360", "set.h5"], "expected shards (<data set>/<split>/*.tar"),
        (["export", "shards"], "Missing argument 'FILE'"),
        (["export", "shards", "thesis.h5"], "expected a new file at thesis.h5, found one there"),
        (["import", "nowhere.h5", "back"], "nowhere.h5: No such file or directory"),
        (["import", "thesis.h5", "back"], "thesis.h5: expected an HDF5 file that"),
        (["import", "shards", "back"], "'shards' is a directory"),
    ],
)
def test_mistakes_get_a_sentence(blursynth, made, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.h5").write_text("chapter 1")
    code, out, err = blursynth(*arguments)
    assert (code, out) == (2, "") and words in err and "Traceback" not in err
    assert not (tmp_path / "back").exists() and not (tmp_path / "set.h5").exists()
