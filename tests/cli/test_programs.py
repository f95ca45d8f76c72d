"""The console scripts, before and after the modules are there."""

import sys

import pytest

from blurcli import programs


@pytest.mark.parametrize("name", ["blursynth", "blurvid"])
def test_ctrl_c_while_modules_load_is_answered_as_later(name, monkeypatch, capfd):
    def interrupted(module, package):
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "import_module", interrupted)
    with pytest.raises(SystemExit) as stopped:
        getattr(programs, name)()
    assert stopped.value.code == 130 and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["blursynth", "blurvid"])
def test_each_program_runs_its_group(name, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        getattr(programs, name)()
    assert not stopped.value.code and f"Usage: {name} [OPTIONS] COMMAND" in capfd.readouterr().out
