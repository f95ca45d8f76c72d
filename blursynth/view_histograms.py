"""Samples' metadata -> numbers -> histograms with round edges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import motion

MOST_BINS = 24
GRID_SIDE = 48  # points: the blur length is a mean over at most so many on each side
QUANTITIES = {  # name: (title, unit, least width of a bin)
    "beta": ("|β|", "degrees", 0.0),
    "n": ("n", "frames averaged", 2.0),  # always odd
    "blur": ("blur length", "pixels", 0.0),
    "clipped": ("clipped share", "% of the middle frame", 0.0),
}


def measure(meta: Mapping[str, Any]) -> dict[str, float]:
    """The quantities of a sample: those that its kind has, NaN where it cannot be told.

    Raises ValueError where the metadata tell no motion.
    """
    values = {"n": meta["n"], "clipped": 100 * meta["clipped"], "blur": blur_length(meta)}
    if meta["kind"] == "panorama":
        values["beta"] = np.linalg.norm(meta["beta_deg"])
    return {name: float(values[name]) for name in QUANTITIES if name in values}


def blur_length(meta: Mapping[str, Any]) -> float:
    """`motion.blur_length_px`, in pixels of the sample, from a camera that sees the same in at most
    GRID_SIDE x GRID_SIDE pixels: the same mean over a coarser grid, at a cost that is bounded."""
    if meta["kind"] == "video":
        return motion.blur_length_px(meta)
    shrink = max(1.0, max(meta["size_hw"]) / GRID_SIDE)
    coarse = {
        **meta,
        "size_hw": [max(round(side / shrink), 1) for side in meta["size_hw"]],
        "principal_xy": [place / shrink for place in meta["principal_xy"]],
        "focal_px": meta["focal_px"] / shrink,
    }
    try:
        with np.errstate(all="ignore"):
            return shrink * motion.blur_length_px(coarse)
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"its metadata tell no motion ({error})") from error


def histogram(values: Sequence[float], *, least_width: float = 0.0) -> dict[str, Any]:
    """Bins of equal, round width that hold every finite value, and a few figures of these.

    {edges: one more than the counts, counts, least, median, greatest, unknown: how many values are
    not finite}; edges and counts are empty where no value is finite.
    """
    finite = np.array([v for v in values if math.isfinite(v)], float)
    unknown = len(values) - len(finite)
    if not len(finite):
        return {"edges": [], "counts": [], "unknown": unknown}
    least, greatest = float(finite.min()), float(finite.max())
    width = bin_width(least, greatest, least_width)
    first, last = math.floor(least / width), math.floor(greatest / width) + 1
    edges = np.arange(first, last + 1) * width
    inside = np.minimum((finite / width - first).astype(int), last - first - 1)
    return {
        "edges": [round_to(edge, width) for edge in edges.tolist()],
        "counts": np.bincount(inside, minlength=last - first).tolist(),
        "least": least,
        "median": float(np.median(finite)),
        "greatest": greatest,
        "unknown": unknown,
    }


def bin_width(least: float, greatest: float, least_width: float) -> float:
    """The smallest of 1, 2, 5, 10, ... (times `least_width`, or powers of ten) that needs at most
    MOST_BINS."""
    largest = max(abs(least), abs(greatest)) or 1.0
    span = max(greatest - least or largest, 1e-6 * largest)  # in less, edges would be equal
    unit = least_width or 10.0 ** math.floor(math.log10(span / MOST_BINS) - 1)
    while True:
        for step in (1, 2, 5):
            if math.floor(greatest / (unit * step)) - math.floor(least / (unit * step)) < MOST_BINS:
                return unit * step
        unit *= 10


def round_to(value: float, width: float) -> float:
    """Without the digits that multiplying brought in, far below a bin's width."""
    return round(value, max(0, 2 - math.floor(math.log10(width))))
