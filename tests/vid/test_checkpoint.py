"""A checkpoint is whole, finite and of the model that it says, or it is refused by name."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from blurvid.checkpoint import (
    METADATA,
    Checkpoint,
    load_checkpoint,
    load_model,
    save_checkpoint,
    written_whole,
)
from blurvid.model import ModelSpec, build_model

SPEC = ModelSpec(frames=3, width=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(SPEC)


@pytest.fixture
def path(tmp_path, model):
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, Checkpoint(SPEC, model.state_dict(), progress={"step": 7}))
    return path


def test_a_saved_model_restores_as_before(path, model):
    blur = torch.rand(1, 3, 33, 40)
    with torch.no_grad():
        assert torch.equal(load_model(path, CPU).restore(blur), model.restore(blur))


def test_what_is_saved_comes_back(tmp_path, model):
    optimizer = {"exp_avg/a": torch.rand(3), "step/a": torch.tensor(4.0)}
    average = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    saved = Checkpoint(SPEC, model.state_dict(), optimizer, average, {"step": 3, "order": "given"})
    save_checkpoint(tmp_path / "last.safetensors", saved)
    loaded = load_checkpoint(tmp_path / "last.safetensors")
    assert (loaded.spec, loaded.progress) == (SPEC, saved.progress)
    for part in ("weights", "optimizer", "average"):
        one, two = getattr(saved, part), getattr(loaded, part)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_spec_that_lies_of_its_size_takes_no_memory(path):
    spec = ModelSpec("full", 3, 100_000).to_dict()
    _rewrite(path, described=lambda d: {**d, "model": spec})
    with pytest.raises(ValueError, match="expected .* of shape .* found"):
        load_model(path, CPU)


class _Payload:
    def __reduce__(self):
        return open, ("executed", "w")


def test_a_pickled_checkpoint_is_refused_and_nothing_in_it_is_executed(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    torch.save({"state_dict": _Payload()}, path)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_model(path, CPU)
    assert not (path.parent / "executed").exists()


def test_loading_draws_nothing_from_torchs_generator(path):
    before = torch.get_rng_state()
    load_model(path, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_checkpoints_are_equal_bytes(path, tmp_path, model):
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, Checkpoint(SPEC, model.state_dict(), progress={"step": 7}))
    assert again.read_bytes() == path.read_bytes()


def test_others_may_read_a_checkpoint_as_far_as_the_user_lets_them(path):
    (path.parent / "other").touch()
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


def test_a_write_that_fails_leaves_what_was_there(path, tmp_path):
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def _rewrite(path, *, tensors=lambda t: t, described=lambda d: d):
    """The checkpoint with its tensors and its description changed."""
    stored = load_file(path)
    metadata = {
        "version": 1,
        "model": SPEC.to_dict(),
        "progress": {},
    }
    save_file(tensors(stored), path, {METADATA: json.dumps(described(metadata))})


def _absent(path):
    path.unlink()


def _text(path):
    path.write_text("weights")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def _foreign(path):
    save_file(load_file(path), path)


def _version(path):
    _rewrite(path, described=lambda d: {**d, "version": 2})


def _other_model(path):
    _rewrite(path, described=lambda d: {**d, "model": {**d["model"], "name": "deep"}})


def _other_width(path):
    _rewrite(path, described=lambda d: {**d, "model": ModelSpec("full", 3, 8).to_dict()})


def _more_frames(path):
    _rewrite(path, described=lambda d: {**d, "model": ModelSpec("full", 7, 1).to_dict()})


def _extra(path):
    _rewrite(path, tensors=lambda t: {**t, "head.weight": torch.zeros(2)})


def _not_finite(path):
    first = sorted(load_file(path))[0]
    _rewrite(path, tensors=lambda t: {**t, first: torch.full_like(t[first], float("nan"))})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_absent, "found no such file"),
        (_text, "not a whole safetensors file"),
        (_cut, "not a whole safetensors file"),
        (_foreign, "no checkpoint that `blurvid train` wrote"),
        (_version, "expected a checkpoint of version 1, found 2"),
        (_other_model, "not a checkpoint of a model known here: .*among full, light.*deep"),
        (_other_width, "expected .* of shape .* found"),
        (_more_frames, "weights are missing, among them"),
        (_extra, "1 weights too many, among them head.weight"),
        (_not_finite, "holds values that are not finite"),
    ],
)
def test_what_is_no_checkpoint_of_this_model_is_refused_by_name(path, damage, sentence):
    damage(path)
    with pytest.raises(ValueError, match=f"best.safetensors.*{sentence}"):
        load_model(path, CPU)
