"""The metadata of a sample: which there are, what each may be, and that they are complete.

A part of the contract (`schema.py`). Raises ValueError that names the sample's key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

SCHEMA_VERSION = 1
COMMON_META = frozenset(
    "schema kind source n times response exact_mean seed direction clipped".split()
)
KIND_META = {
    "panorama": frozenset(
        "size_hw hfov_deg xi focal_px principal_xy beta_deg quat_wxyz quat_first_last "
        "max_step_px".split()
    ),
    "video": frozenset("scene first_frame crop_xywh".split()),
}
PER_FRAME_META = ("times", "quat_wxyz")


def _are_numbers(values: Any, count: int | None = None) -> bool:
    """That this is a list of finite numbers, `count` of them unless None."""
    if not isinstance(values, (list, tuple)) or count not in (None, len(values)):
        return False
    return all(isinstance(v, (int, float)) and -1e100 < v < 1e100 for v in values)


def _are_rows(values: Any, count: int) -> bool:
    """That this is a list of lists of `count` finite numbers."""
    return isinstance(values, (list, tuple)) and all(_are_numbers(row, count) for row in values)


META_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "n": ("a whole number of at least 1", lambda v: type(v) is int and 0 < v < 1e100),
    "seed": ("a whole number", lambda v: type(v) is int),
    "source": ("a text", lambda v: isinstance(v, str)),
    "response": ("a text", lambda v: isinstance(v, str)),
    "times": ("a list of finite numbers", _are_numbers),
    "direction": ("three finite numbers", lambda v: _are_numbers(v, 3)),
    "clipped": ("a finite number", lambda v: _are_numbers([v])),
    "beta_deg": ("three finite numbers", lambda v: _are_numbers(v, 3)),
    "xi": ("a finite number", lambda v: _are_numbers([v])),
    "focal_px": ("a finite number", lambda v: _are_numbers([v])),
    "size_hw": ("two finite numbers", lambda v: _are_numbers(v, 2)),
    "principal_xy": ("two finite numbers", lambda v: _are_numbers(v, 2)),
    "quat_wxyz": ("a list of four finite numbers each", lambda v: _are_rows(v, 4)),
    "quat_first_last": (
        "two times four finite numbers",
        lambda v: _are_rows(v, 4) and len(v) == 2,
    ),
    "shake_deg": ("a list of three finite numbers each", lambda v: _are_rows(v, 3)),
    "interpolated": ("a whole number of at least 1", lambda v: type(v) is int and v > 0),
    "read_noise": ("a number from 0 to 1", lambda v: _are_numbers([v]) and 0 <= v <= 1),
    "shot_noise": ("a number from 0 to 1", lambda v: _are_numbers([v]) and 0 <= v <= 1),
}


def check_meta(key: str, meta: Mapping[str, Any], *, frames: int) -> None:
    """That `meta` is of this schema and complete for its kind and number of frames."""
    if meta.get("schema") != SCHEMA_VERSION:
        raise ValueError(
            f"sample {key}: expected schema {SCHEMA_VERSION}, found {meta.get('schema')!r}; "
            "make the shards anew with this version of blursynth"
        )
    kind = meta.get("kind")
    if kind not in tuple(KIND_META):
        raise ValueError(f"sample {key}: expected kind {' or '.join(KIND_META)}, found {kind!r}")
    missing = sorted((COMMON_META | KIND_META[kind]) - meta.keys())
    if missing:
        raise ValueError(f"sample {key}: its metadata lacks {', '.join(missing)}")
    for name, (expected, holds) in META_RULES.items():
        if name in meta and not holds(meta[name]):
            found = repr(meta[name])[:80]
            raise ValueError(f"sample {key}: expected `{name}` to be {expected}, found {found}")
    for name in PER_FRAME_META:
        if name in meta and len(meta[name]) != frames:
            raise ValueError(
                f"sample {key}: expected {len(meta[name])} frames as `{name}` says, found {frames}"
            )


def select_frames(meta: Mapping[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """The metadata of a sample of which only the frames with these numbers are kept."""
    kept = {k: [meta[k][i] for i in numbers] for k in PER_FRAME_META if k in meta}
    return {**meta, **kept}
