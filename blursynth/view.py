"""A self-contained HTML page about data sets: samples that play, histograms, sources, failures.

Bounded whatever the data: it shows a drawn, stated share of the samples; of each, at most so many
frames; of each table, at most so many rows. The same shards give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from .files import write_whole
from .verify import DataSet, place_of, refuse_inside
from .view_histograms import QUANTITIES, histogram, measure
from .view_sample import MOST_FRAMES, card, read_meta
from .view_survey import Drawn, SplitSurvey, lowest, said, spread, survey_split

MOST_SAMPLES = 200
MOST_MEASURED = 2000  # samples of a data set: its histograms are over these
MOST_ROWS = 200
MOST_CHARACTERS = 240
PICTURE_BYTES = 14 << 20  # of all pictures; as text in the page they are 4/3 of it


@dataclass(frozen=True)
class Written:
    """What was written, for a line about it. gaps: what could not be shown, told on the page."""

    drawn: str
    page_bytes: int
    gaps: int


def write_page(
    data_sets: Sequence[DataSet],
    root: Path,
    out: Path,
    *,
    samples: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Written:
    """The page about data sets (`verify.find_data_sets(root)`), written to `out`.

    samples: how many play on it, 0 to MOST_SAMPLES. on_progress: told how many shards' indexes are
    read. Raises ValueError where `out` is in the folder of a data set, which holds nothing else.
    """
    refuse_inside(out)
    if not 0 <= samples <= MOST_SAMPLES:
        raise ValueError(f"expected 0 to {MOST_SAMPLES} samples, found {samples}")
    content = gather(data_sets, root, samples=samples, seed=seed, on_progress=on_progress)
    page = render(content)
    write_whole(out, page)
    gaps = sum(one["gaps"]["count"] for one in content["data_sets"])
    return Written(content["drawn"], len(page), gaps)


def gather(
    data_sets: Sequence[DataSet],
    root: Path,
    *,
    samples: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """All that the page says, ready for JSON."""
    root = root.absolute()
    read = itertools.count(1)
    surveys = [
        survey_split(split, seed=seed, most=MOST_MEASURED, on_shard=lambda: on_progress(next(read)))
        for data_set in data_sets
        for split in sorted(data_set.splits, key=lambda one: one.folder.name != "train")
    ]
    shares = spread([one.totals["samples"] for one in surveys], samples)
    total, shown = sum(one.totals["samples"] for one in surveys), sum(shares)
    budget = PICTURE_BYTES // max(shown, 1)
    for one, share in zip(surveys, shares, strict=True):
        one.shown = one.drawn[:share]
    told = [
        _tell(data_set, root, [one for one in surveys if one.split in data_set.splits], budget)
        for data_set in data_sets
    ]
    drawn = f"{shown:,} of {_count(total, 'sample')} drawn with seed {seed}"
    return {"data_sets": told, "drawn": drawn, "most_frames": MOST_FRAMES}


def _tell(
    data_set: DataSet, root: Path, splits: Sequence[SplitSurvey], budget: int
) -> dict[str, Any]:
    """A data set. gaps: files and samples that cannot be shown, each with the reason."""
    gaps = [(fault.place, fault.reason) for fault in data_set.faults]
    gaps += [(place_of(path, root), reason) for s in splits for path, reason in s.gaps]
    cards = [
        {**_short(told), "split": one.split.folder.name}
        for one in splits
        for told in _each(one.shown, gaps, lambda tar, sample: card(tar, sample, budget=budget))
    ]
    drawn = lowest(MOST_MEASURED, [one for these in splits for one in these.drawn])
    measured = list(_each(drawn, gaps, lambda tar, one: measure(read_meta(tar, one))))
    count = sum(one.totals["samples"] for one in splits)
    how = ", drawn with the same seed" if len(drawn) < count else ""
    return {
        "name": _cut(place_of(data_set.folder, root)),
        "facts": _facts(data_set, splits),
        "options": table(_flat(data_set.described.get("options", {}))),
        "splits": [_split_row(one) for one in splits],
        "measured": f"{len(measured):,} of {_count(count, 'sample')}{how}",
        "histograms": _histograms(measured),
        "cards": cards,
        "sources": _source_table(splits),
        "failures": table(sorted({row for one in splits for row in one.failures})),
        "gaps": table(sorted(set(gaps))),
    }


def _each(
    drawn: Iterable[Drawn], gaps: list[tuple[str, str]], read: Callable[..., dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """What is read of each sample, in the order of the drawn; the rest are gaps."""
    for one in drawn:
        try:
            with open(one.tar, "rb") as tar:
                yield read(tar, one.sample)
        except (ValueError, OSError) as error:
            reason = said(error).removeprefix(f"sample {one.sample.key}").lstrip(":, ")
            gaps.append((f"{one.tar.name}, {one.sample.key}", reason))


# --- parts of a data set -------------------------------------------------------------------------


def _facts(data_set: DataSet, splits: Sequence[SplitSurvey]) -> list[tuple[str, str]]:
    described = data_set.described
    options = described.get("options")
    response = options.get("response") if isinstance(options, dict) else None
    looks = sum((one.looks for one in splits), Counter())
    images = sorted({f"{w} × {h} {image_format}" for (h, w), image_format, _ in looks})
    frames = sorted({count for _, _, count in looks})
    facts = [
        ("kind", described.get("kind")),
        ("images", ", ".join(images[:MOST_ROWS])),
        ("frames", f"{_span(frames)} beside each blur" if frames else None),
        ("response", response),
        ("fingerprint", described.get("fingerprint")),
    ]
    return [(name, _cut(str(value))) for name, value in facts if value]


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _split_row(one: SplitSurvey) -> list[str]:
    """Name, samples, shards, sources, megabytes, and whether it is finished."""
    totals = one.totals
    state = "finished" if one.split.is_finished else "unfinished: the same command goes on"
    if totals["without index"]:
        state += f"; {_count(totals['without index'], 'tar')} without an index not read"
    counts = (totals["samples"], totals["shards"], len(one.sources))
    megabytes = f"{totals['bytes'] / 1e6:,.1f} MB"
    return [one.split.folder.name, *(f"{count:,}" for count in counts), megabytes, state]


def _histograms(measured: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    told = []
    for name, (title, unit, least_width) in QUANTITIES.items():
        values = [one[name] for one in measured if name in one]
        if values:
            told.append(
                {"title": title, "unit": unit, **histogram(values, least_width=least_width)}
            )
    return told


def _source_table(splits: Sequence[SplitSurvey]) -> dict[str, Any]:
    """Name, samples, splits; the rest says how many samples it has."""
    total = sum((one.sources for one in splits), Counter())
    names = sorted(total)
    rows = []
    for name in names[:MOST_ROWS]:
        where = [one.split.folder.name for one in splits if one.sources[name]]
        rows.append((name, f"{total[name]:,}", ", ".join(where)))
    rest = sum(total[name] for name in names[MOST_ROWS:])
    samples = f", {_count(rest, 'sample')}" if rest else ""
    return {**table(rows, len(names)), "rest_samples": samples}


def table(rows: Sequence[Sequence[str]], count: int | None = None) -> dict[str, Any]:
    """At most MOST_ROWS rows, cut short, and how many there are. count: of all, where rows are
    not all of them."""
    shown = [[_cut(cell) for cell in row] for row in rows[:MOST_ROWS]]
    return {"rows": shown, "count": len(rows) if count is None else count}


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Options as rows: the name with those above it, and the value as it stands in JSON."""
    if not isinstance(value, dict):
        return [(prefix, value if isinstance(value, str) else json.dumps(value))]
    above = f"{prefix}." if prefix else ""
    return [row for name in sorted(value) for row in _flat(value[name], f"{above}{name}")]


def _short(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "key": _cut(told["key"]), "source": _cut(told["source"])}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# --- the page ------------------------------------------------------------------------------------


def render(content: dict[str, Any]) -> bytes:
    """The page with everything in it. Its policy lets it load nothing, and run and be styled by
    nothing but what stands in it, known by digest."""
    style, script = _part("view.css"), _part("view.js")
    filled = {
        "{{style_digest}}": _policy_digest(style),
        "{{script_digest}}": _policy_digest(script),
        "{{style}}": style,
        "{{script}}": script,
        "{{data}}": embedded(content),
    }
    page = _part("view.html")
    for mark, text in filled.items():
        before, after = page.split(mark)
        page = before + text + after
    return page.encode()


def embedded(value: Any) -> str:
    """JSON that can stand in a script element: ASCII, and no character that ends or begins one."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _policy_digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
