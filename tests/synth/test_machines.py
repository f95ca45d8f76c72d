"""What is known of the machines that made a data set, and what follows from it."""

import json

import pytest

from blursynth import generate, machines, manifest, rerender, verify

from . import test_generate

OTHER = {"versions": {**machines.package_versions(), "numpy": "1.0"}, "processor": "another"}


def told(out, split="train"):
    path = out / "panorama" / split / "manifest.json"
    return json.loads(path.read_bytes())["run"]


def redrawn(out, src):
    data_sets = verify.find_data_sets(out)
    return rerender.rerender(data_sets, out, src, count=2, jobs=1).tolerance


def test_one_machine_is_told_as_it_is(sun360, tmp_path):
    test_generate.make(sun360, tmp_path)
    run = told(tmp_path)
    assert run["machine"]["processor"] == machines.processor_type()
    assert run["versions"] == machines.package_versions() and redrawn(tmp_path, sun360) == 0


def test_a_part_that_another_machine_made_is_told_and_allowed_a_difference_of_one(
    sun360, tmp_path
):
    parts = [generate.Part(k, 2) for k in (1, 2)]
    test_generate.make(sun360, tmp_path, part=parts[0])
    machines.leave_facts(tmp_path / "panorama", OTHER)
    test_generate.make(sun360, tmp_path, part=parts[1])
    run = told(tmp_path)
    assert run["machine"]["processor"] == f"another and {machines.processor_type()}"
    assert run["versions"]["numpy"] == f"1.0 and {machines.package_versions()['numpy']}"
    assert redrawn(tmp_path, sun360) == 1


def test_of_shards_that_came_without_facts_the_machine_is_unknown(sun360, tmp_path):
    test_generate.make(sun360, tmp_path)
    for path in (tmp_path / "panorama").glob(".made_by_*"):
        path.unlink()
    lost = sorted(tmp_path.rglob("panorama-train-000001.*"))
    for path in [*lost, tmp_path / "panorama/train/manifest.json"]:
        path.unlink()
    test_generate.make(sun360, tmp_path)
    assert "unknown" in told(tmp_path)["machine"]["processor"] and redrawn(tmp_path, sun360) == 1


def test_to_start_anew_forgets_the_machines(sun360, tmp_path):
    test_generate.make(sun360, tmp_path)
    machines.leave_facts(tmp_path / "panorama", OTHER)
    test_generate.make(sun360, tmp_path, overwrite=True)
    assert told(tmp_path)["machine"]["processor"] == machines.processor_type()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"versions": 1, "processor": 2}'])
def test_damaged_facts_are_unknown_ones(tmp_path, data):
    (tmp_path / f"{machines.PREFIX}x.json").write_bytes(data)
    assert machines.machines_of(tmp_path) == [machines.UNKNOWN]


def test_a_split_that_is_repaired_to_what_it_was_keeps_its_card(sun360, tmp_path):
    test_generate.make(sun360, tmp_path, licence="CC-BY-4.0")
    cards = sorted(tmp_path.rglob("README.md"))
    for card in cards:
        card.write_text("my own words")
    for path in tmp_path.rglob("panorama-train-000001.*"):
        path.unlink()
    test_generate.make(sun360, tmp_path)
    assert [card.read_text() for card in cards] == ["my own words"] * 2
    (tmp_path / "panorama/train/manifest.json").unlink()
    test_generate.make(sun360, tmp_path, licence="CC0-1.0")
    test_card, train_card = (tmp_path / f"panorama/{s}/README.md" for s in ("test", "train"))
    assert test_card.read_text() == "my own words"
    assert "license: cc0-1.0" in train_card.read_text()


def test_the_code_itself_has_a_digest():
    assert len(machines.code_digest()) == 64 and manifest.TOOL_VERSION
