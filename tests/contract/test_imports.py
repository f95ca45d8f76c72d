"""The house rules: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED_IN_BLURVID = {"schema", "motion", "light"}


def imported(path):
    """Dotted names of what a file imports, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted((ROOT / "blursynth").rglob("*.py")), ids=lambda p: p.name)
def test_blursynth_imports_neither_torch_nor_blurvid(path):
    assert not {name.split(".")[0] for name in imported(path)} & {"torch", "blurvid", "blurcli"}


@pytest.mark.parametrize("path", sorted((ROOT / "blurvid").glob("*.py")), ids=lambda p: p.name)
def test_blurvid_knows_of_blursynth_only_the_contract(path):
    names = [name.split(".") for name in imported(path)]
    assert not {n[0] for n in names} & {"blurcli"}
    assert {n[1] for n in names if n[0] == "blursynth"} <= ALLOWED_IN_BLURVID


@pytest.mark.parametrize("package", ["blursynth", "blurvid"])
def test_only_the_command_line_prints_and_exits(package):
    for path in (ROOT / package).glob("*.py"):
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        assert not names & {"print", "exit", "input"}, path.name
