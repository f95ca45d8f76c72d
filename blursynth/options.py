"""Options as plan.json and the manifest hold them.

Fields of `spec.later` came after the first data sets. Where they have their default they are left
out, so that the fingerprints of earlier data sets stay what they were; the manifest tells them apart.
"""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from typing import Any

from .spec import (
    BlurOptions,
    CameraOptions,
    DataSetOptions,
    Noise,
    PanoramaOptions,
    RotationOptions,
    VideoOptions,
)

OPTIONS_OF_KIND = {"panorama": PanoramaOptions, "video": VideoOptions}
PARTS = {
    "camera": CameraOptions,
    "rotation": RotationOptions,
    "blur": BlurOptions,
    "noise": Noise,
}


def options_to_dict(
    options: PanoramaOptions | VideoOptions, data_set: DataSetOptions, **more: object
) -> dict:
    """All that shapes a data set, in one dict that JSON can hold."""
    return {**_told(options), **asdict(data_set), **more}


def _told(options: Any) -> dict:
    """Every field; those that came later where they have not their default."""
    values = {f.name: getattr(options, f.name) for f in fields(options)}
    kept = (f for f in fields(options) if not f.metadata or values[f.name] != f.default)
    return {f.name: _told(v) if is_dataclass(v := values[f.name]) else v for f in kept}


def options_from_dict(kind: str, stored: dict) -> PanoramaOptions | VideoOptions:
    """The inverse of `options_to_dict`, for what shapes the pixels."""
    options = OPTIONS_OF_KIND[kind]
    names = [f.name for f in fields(options) if not f.metadata or f.name in stored]
    try:
        return _made_of(options, {name: stored[name] for name in names})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"expected the options of this version of blursynth, found others ({error}); "
            "make the data set anew"
        ) from error


def _made_of(options: type, stored: dict) -> Any:
    """The inverse of `_told`."""
    parts = {name: _made_of(PARTS[name], stored[name]) for name in PARTS if name in stored}
    return options(**{**stored, **parts})


def left_out(kind: str, stored: dict) -> dict:
    """The options that `options_to_dict` left out, with their defaults, nested as they would be."""
    return _besides(stored, asdict(options_from_dict(kind, stored)))


def _besides(told: dict, whole: dict) -> dict:
    parts = {k: _besides(told[k], v) for k, v in whole.items() if k in told and isinstance(v, dict)}
    rest = {k: part for k, part in parts.items() if part}
    return {**{k: v for k, v in whole.items() if k not in told}, **rest}
