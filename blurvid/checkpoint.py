"""Weights and the state of a training on disk: safetensors, with JSON in the file's metadata.

No pickle is written or loaded. A file stands under its name only when it is whole. Raises
ValueError that names the file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from blurvid.model import ModelSpec, build_model
from blurvid.restoration import FrameModel

FORMAT_VERSION = 1
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
METADATA = "blurvid"
OPTIMIZER, AVERAGE = "optimizer/", "average/"  # no weight's name holds a slash


class Damaged(ValueError):
    """A file that is not as it was written."""


@dataclass(frozen=True)
class Checkpoint:
    """A model, and what a training needs besides to go on from it.

    weights: the model's state dict. optimizer and average (of the weights): tensors by name,
    empty in a file for use alone. progress: JSON values.
    """

    spec: ModelSpec
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    average: Mapping[str, Tensor] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the file, or leaves what was there."""
    described = {
        "version": FORMAT_VERSION,
        "model": checkpoint.spec.to_dict(),
        "progress": dict(checkpoint.progress),
    }
    optimizer = {OPTIMIZER + name: tensor for name, tensor in checkpoint.optimizer.items()}
    average = {AVERAGE + name: tensor for name, tensor in checkpoint.average.items()}
    tensors = {**checkpoint.weights, **optimizer, **average}
    stored = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with written_whole(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # as for any new file; save_file's is 0600
        try:
            save_file(stored, temporary, {METADATA: json.dumps(described, sort_keys=True)})
        except SafetensorError as error:  # its text alone says what the system said
            code = re.search(r"os error (\d+)", str(error))
            number = int(code[1]) if code else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from error
        temporary.chmod(mode)


def load_checkpoint(path: Path) -> Checkpoint:
    """The inverse of `save_checkpoint`; every tensor finite, and weights that fit the spec."""
    described, tensors = _read(path)
    _refuse_unfit(path, tensors)
    progress = described.get("progress", {})
    if not isinstance(progress, dict):
        raise ValueError(f"{path} is damaged: its progress is {str(progress)[:80]!r}")
    spec, expected = _expected(path, described)
    optimizer, average = (_below(prefix, tensors) for prefix in (OPTIMIZER, AVERAGE))
    weights = {n: t for n, t in tensors.items() if not n.startswith((OPTIMIZER, AVERAGE))}
    _refuse_other_shapes(path, weights, expected)
    if average:
        _refuse_other_shapes(path, average, expected)
    return Checkpoint(spec, weights, optimizer, average, progress)


def _expected(path: Path, described: Mapping[str, Any]) -> tuple[ModelSpec, dict[str, Tensor]]:
    """The model's spec, and tensors of its weights' shapes; a spec that lies takes no memory."""
    try:
        spec = ModelSpec.from_dict(described["model"])
        with torch.device("meta"):
            return spec, build_model(spec).state_dict()
    except (ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a checkpoint of a model known here: {reason}") from error


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def load_model(path: Path, device: torch.device) -> FrameModel:
    """The model of a `best` or `last` file, on `device`, ready to restore (eval mode)."""
    checkpoint = load_checkpoint(path)
    model = _blank_model(checkpoint.spec)
    model.load_state_dict(checkpoint.weights)
    return model.to(device).eval()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name to write to, this writer's own; renames it to `path` unless an error
    comes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the metadata says, and the tensors."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a checkpoint (.safetensors), found no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise Damaged(f"{path} is not a whole safetensors file ({error})") from error
    try:
        described = json.loads(metadata[METADATA])
        version = described["version"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Damaged(
            f"{path} is a safetensors file, but no checkpoint that `blurvid train` wrote"
        ) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: expected a checkpoint of version {FORMAT_VERSION}, found {version!r}"
        )
    return described, tensors


def _blank_model(spec: ModelSpec) -> FrameModel:
    """A model whose weights are to be replaced; torch's generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        return build_model(spec)


def _refuse_unfit(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            known = ", ".join(map(str, DTYPES))
            raise ValueError(f"{path}: expected {name} of {known}, found {tensor.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise Damaged(
                f"{path}: {name} holds values that are not finite; take an earlier checkpoint"
            )


def _refuse_other_shapes(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"{path}: {len(missing)} weights are missing, among them {missing[0]}")
    if extra := sorted(found.keys() - expected.keys()):
        raise ValueError(f"{path}: {len(extra)} weights too many, among them {extra[0]}")
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path}: expected {name} of shape {tuple(expected[name].shape)}, "
                f"found {tuple(tensor.shape)}"
            )
