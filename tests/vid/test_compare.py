"""Runs side by side: which stand in one table, and how they differ sample by sample."""

import json
import shutil

import numpy as np
import pytest

from blurvid.compare import as_csv, as_json, as_text, compare
from blurvid.evaluated import read_runs
from blurvid.rows import BLUR, MODEL, PREDICTED_MIDDLE
from blurvid.tables import frame_names

MODEL_ROW = {"name": "full", "frames": 3, "width": 4, "residual": True, "without": []}


def summary(psnr, ssim):
    """(samples, n), (samples, n) -> what evaluation.json says of a row."""
    scored = {"psnr": psnr.mean(0).tolist(), "ssim": ssim.mean(0).tolist()}
    figures = {m: {"frames": v, "mean": float(np.mean(v))} for m, v in scored.items()}
    return {"at_the_cap": 0, **figures}


@pytest.fixture
def write_run(tmp_path):
    """write_run(name, psnr (samples, n), keys, model=, **facts) -> the run folder."""

    def write(name, psnr, keys=None, model=MODEL_ROW, protocol="sequence", **facts):
        psnr, ssim = np.asarray(psnr, float), np.full(np.shape(psnr), 0.5)
        keys = keys or [f"dots-{k:06d}" for k in range(len(psnr))]
        rows = {
            MODEL: summary(psnr, ssim),
            BLUR: summary(psnr * 0 + 11, ssim),
            PREDICTED_MIDDLE: summary(psnr * 0 + 12, ssim),
        }
        entry = {
            **{"data_set": "dots", "fingerprint": "f" * 64, "split": "test", "kind": "video"},
            **{"samples": len(psnr), "sizes_hw": [[32, 40]], "response": "identity"},
            **{"checkpoint": f"{name}/best.safetensors", "model": model},
            **{"training": {"step": 7, "seed": None}, "n": {"min": 7, "max": 9, "mean": 8.25}},
            **{"protocols": {protocol: rows}, **facts},
        }
        folder = tmp_path / "runs" / name / "evaluation"
        folder.mkdir(parents=True)
        (folder / "evaluation.json").write_text(json.dumps([entry]))
        names = frame_names(psnr.shape[1])
        lines = [",".join(["key", "row", "protocol", *(f"psnr_{n}" for n in names)])]
        for row, values in ((MODEL, psnr), (BLUR, psnr * 0 + 11)):
            for key, sample in zip(keys, values, strict=True):
                lines.append(",".join([key, row, protocol, *map(str, sample)]))
        (folder / f"samples-{entry['data_set']}.csv").write_text("\n".join(lines) + "\n")
        return folder.parent

    return write


@pytest.fixture
def psnr():
    return np.random.default_rng(0).normal(25, 3, (20, 3))


def compared(*runs, protocol="sequence"):
    return compare(read_runs(runs, protocol=protocol))


# --- differences ----------------------------------------------------------------------------


def test_a_run_differs_from_itself_by_exactly_0(write_run, psnr):
    run = write_run("a", psnr)
    ((difference,),) = (table.differences for table in compared(run, run))
    assert (difference.mean, difference.interval, difference.share_better) == (0, (0, 0), 0)


def test_one_db_more_on_every_sample_is_a_difference_of_1_and_a_share_of_1(write_run, psnr):
    (table,) = compared(write_run("a", psnr), write_run("b", psnr + 1))
    (difference,) = table.differences
    assert difference.mean == pytest.approx(1) and difference.interval == pytest.approx((1, 1))
    assert (difference.share_better, difference.common, difference.alone) == (1, 20, (0, 0))


def test_the_pairs_are_made_by_key_whatever_the_order(write_run, psnr):
    keys = [f"dots-{k:06d}" for k in range(20)]
    turned = write_run("b", psnr[::-1], keys[::-1])
    (table,) = compared(write_run("a", psnr, keys), turned)
    assert table.differences[0].interval == (0, 0)


def test_keys_that_only_one_run_has_are_left_out_and_counted(write_run, psnr):
    more = write_run("b", np.concatenate([psnr[:15] + 1, psnr[:3] + 50]), [
        *(f"dots-{k:06d}" for k in range(15)), "x", "y", "z",
    ])
    (table,) = compared(write_run("a", psnr), more)
    (difference,) = table.differences
    assert difference.mean == pytest.approx(1)
    assert (difference.common, difference.alone) == (15, (3, 5))
    text = as_text([table])
    assert "left out: 3 of this run alone, 5 of a alone" in text
    assert "different numbers of samples" in text


def test_runs_without_a_common_sample_say_so(write_run, psnr):
    (table,) = compared(write_run("a", psnr), write_run("b", psnr[:1], ["x"]))
    assert "b    no sample in common" in as_text([table])
    assert as_json(table)["differences"][0]["mean"] is None


def test_a_single_sample_in_common_has_no_interval(write_run, psnr):
    (table,) = compared(write_run("a", psnr), write_run("b", psnr[:1] + 1))
    (line,) = [line for line in as_text([table]).splitlines() if line.startswith("b    ")][-1:]
    assert line.split()[:6] == ["b", "+1.000", "-", "-", "100%", "1"]
    assert as_json(table)["differences"][0]["interval"] == [None, None]


# --- tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        {"data_set": "other"},
        {"fingerprint": "0" * 64},
        {"split": "train"},
        {"response": "gamma2.2"},
        {"model": {**MODEL_ROW, "frames": 7}},
    ],
)
def test_what_was_measured_otherwise_stands_in_a_table_of_its_own(write_run, psnr, facts):
    frames = facts.get("model", MODEL_ROW)["frames"]
    other = write_run("b", np.resize(psnr, (20, frames)), **facts)
    tables = compared(write_run("a", psnr), other, write_run("c", psnr))
    assert [[d.run for d in t.differences] for t in tables] == [["c"], []]
    assert "2 tables: what was measured on other data" in as_text(tables)


def test_the_rows_are_the_runs_then_those_without_a_model_once_then_the_papers(write_run, psnr):
    light = {**MODEL_ROW, "name": "light", "without": ["itn", "lw"]}
    (table,) = compared(write_run("a", psnr), write_run("b", psnr, model=light))
    assert [row.name for row in table.rows] == [
        *("a", "b", f"a: {PREDICTED_MIDDLE}", f"b: {PREDICTED_MIDDLE}", BLUR),
        *("paper, Table 1: Jin et al. (2018)", "paper, Table 1: Ours"),
    ]
    assert table.rows[1].model == "light without itn, lw"
    text = as_text([table])
    assert "27.36   31.99   27.41   28.92" in text and "not comparable" in text


def test_where_the_paper_has_no_row_none_is_printed(write_run, psnr):
    seven = {**MODEL_ROW, "frames": 7}
    run = write_run("a", np.resize(psnr, (20, 7)), kind="panorama", model=seven)
    assert "paper" not in as_text(compared(run))


def test_csv_and_json_say_what_the_text_says(write_run, psnr):
    (table,) = compared(write_run("a", psnr))
    stored = as_json(table)["rows"][0]["figures"]["psnr"]
    assert stored["frames"] == pytest.approx(psnr.mean(0).tolist())
    lines = as_csv([table]).splitlines()
    assert lines[0].startswith("data_set,fingerprint,split,response,frames,protocol,source,row")
    assert any(f"run,a,full,4,20,psnr,Fi,{psnr[:, 0].mean():.6f}" in line for line in lines)
    assert len(lines) == 1 + 5 * 2 * 4


def test_nothing_to_compare_is_a_dash_and_null(write_run, psnr):
    run = write_run("a", psnr)
    path = run / "evaluation" / "evaluation.json"
    (entry,) = json.loads(path.read_text())
    entry["protocols"]["sequence"][BLUR]["psnr"] = {"frames": [9.0, None, 9.0], "mean": None}
    path.write_text(json.dumps([entry]))
    (table,) = compared(run)
    assert "9.00       -    9.00       -" in as_text([table])
    assert as_json(table)["rows"][2]["figures"]["psnr"]["frames"] == [9.0, None, 9.0]
    json.dumps(as_json(table), allow_nan=False)


# --- names and mistakes ---------------------------------------------------------------------


def test_runs_of_one_name_are_told_apart_by_their_paths(write_run, psnr, tmp_path):
    first = write_run("a", psnr)
    other = shutil.copytree(first, tmp_path / "more" / "a")
    (table,) = compared(first, other / "evaluation")
    assert [row.name for row in table.rows[:2]] == [str(first), str(other / "evaluation")]


def test_the_folder_of_an_evaluation_bears_the_name_of_its_run(write_run, psnr):
    (table,) = compared(write_run("a", psnr) / "evaluation")
    assert table.rows[0].name == "a"


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("evaluation.json", lambda text: text[:-9], "is no JSON"),
        ("evaluation.json", lambda text: "{}", "expected a list of data sets"),
        ("evaluation.json", lambda text: "[3]", "damaged or of an earlier version"),
        ("evaluation.json", lambda text: text.replace('"kind"', '"k"'), "'kind'"),
        ("evaluation.json", lambda text: text.replace('"frames": 3', '"frames": 7'), "7 frames"),
        ("evaluation.json", lambda text: text.replace('"model": {"at', '"m": {"at'), "no row"),
        ("evaluation.json", lambda text: text.replace('"width": 4', '"width": 1e999'), "infinity"),
        ("evaluation.json", lambda text: text.replace("[11.0", "[1e999"), "found inf"),
        ("evaluation.json", lambda text: text.replace("sequence", "forward"), "no protocol"),
        ("samples-dots.csv", lambda text: text.replace("psnr_Fm", "psnr"), "damaged at line 2"),
        ("samples-dots.csv", lambda text: text.replace(",", ",x", 5), "damaged at line 2"),
        ("samples-dots.csv", lambda text: text[: len(text) // 4], "samples-dots.csv"),
        ("samples-dots.csv", lambda text: text + text.split("\n")[1] + "\n", "line 42"),
        ("samples-dots.csv", lambda text: "", "expected 20 samples"),
        ("samples-dots.csv", None, "is missing"),
    ],
)
def test_a_damaged_file_gets_a_sentence_that_names_it(write_run, psnr, name, damage, said):
    run = write_run("a", psnr)
    path = run / "evaluation" / name
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=said) as error:
        compared(run)
    assert str(path) in str(error.value)


def test_bytes_that_are_no_text_get_a_sentence_too(write_run, psnr):
    run = write_run("a", psnr)
    for name in ("samples-dots.csv", "evaluation.json"):
        (run / "evaluation" / name).write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match=name):
            compared(run)


def test_a_run_that_was_not_evaluated_says_the_command_that_does_it(tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    with pytest.raises(ValueError, match="holds no evaluation.json") as error:
        compared(run)
    (run / "options.json").write_text(json.dumps({"data": {"shards": "/data/shards"}}))
    typed = f"blurvid evaluate --checkpoint '{run}' --shards /data/shards --out '{run}/evaluation'"
    with pytest.raises(ValueError) as error:
        compared(run)
    assert str(error.value).endswith(typed)


# --- the command ----------------------------------------------------------------------------


def test_compare_as_typed_prints_the_table_and_writes_it(blurvid, write_run, psnr, tmp_path):
    runs, out = (write_run("a", psnr), write_run("b", psnr + 1)), tmp_path / "out"
    code, text, errors = blurvid("compare", *runs, "--out", out)
    assert (code, errors) == (0, "")
    assert text == (out / "compare.txt").read_text() + f"written to {out}\n"
    assert text.splitlines()[-2].split() == ["b", "+1.000", "+1.000", "+1.000", "100%", "20"]
    assert len(json.loads((out / "compare.json").read_text())) == 1
    names = ["compare.csv", "compare.json", "compare.txt"]
    assert sorted(path.name for path in out.iterdir()) == names


def test_compare_says_what_it_reads_with_one_example(blurvid):
    code, text, _ = blurvid("compare", "--help")
    assert code == 0 and "Reads what `blurvid evaluate --out` wrote" in text
    assert "Example: blurvid compare runs/full" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("nowhere",), "nowhere: expected a run folder"),
        (("runs/a", "--protocol", "forward"), "holds no protocol 'forward', but: sequence"),
        (("runs/a", "--out", "taken"), "found a file"),
        ((), "RUN"),
    ],
)
def test_a_mistake_in_compare_gets_a_sentence_and_leaves_nothing(
    blurvid, write_run, psnr, tmp_path, monkeypatch, options, said
):
    monkeypatch.chdir(tmp_path)
    write_run("a", psnr)
    (tmp_path / "taken").write_text("a file")
    code, text, errors = blurvid("compare", *options)
    assert code == 2 and said in errors and not text and "Traceback" not in errors


def test_a_table_says_what_made_the_blur_and_the_weights(write_run, psnr):
    (comparison,) = compare(read_runs([write_run("a", psnr)], protocol="sequence"))
    text = as_text([comparison])
    assert "blur of n frames: n = 7 to 9, mean 8.2" in text
    assert "a: best.safetensors, step 7, seed not in the file" in text
    stored = as_json(comparison)
    assert stored["n"] == {"min": 7, "max": 9, "mean": 8.25}
    assert stored["weights"]["a"].startswith("best.safetensors, step 7")


def test_a_run_may_be_named_by_its_evaluation_json(write_run, psnr):
    file = write_run("a", psnr) / "evaluation" / "evaluation.json"
    (run,) = read_runs([file], protocol="sequence")
    assert run.run == "a" and len(run.sample_psnr) == len(psnr)


def test_a_file_that_is_no_evaluation_is_called_a_file(tmp_path):
    (tmp_path / "train.log").write_text("step 1")
    with pytest.raises(ValueError, match="train.log: expected a run folder, found a file"):
        read_runs([tmp_path / "train.log"], protocol="sequence")


def test_the_remark_on_several_tables_is_one_paragraph(write_run, psnr):
    runs = [write_run("a", psnr), write_run("b", psnr, fingerprint="e" * 64)]
    text = as_text(compare(read_runs(runs, protocol="sequence")))
    assert text.rstrip().rsplit("\n\n", 1)[1].startswith("2 tables: what was measured on other data")
