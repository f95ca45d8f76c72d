"""The card of a split: README.md and contact-sheet.png beside its shards, for people.

What the data are, how they were made, of what, and six samples as pictures. Neither file holds a
time: the same command gives the same card. The text is Markdown, with the YAML at its head that
dataset hubs read; nothing of it can be broken by the name of a source.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence

from .files import AnyPath, write_whole
from .schema import ShardIndex, encode_image
from .sheet import Row, contact_sheet, read_row, spread
from .sources import SHEET_NAME

CARD_NAME = "README.md"
CARD_NAMES = (CARD_NAME, SHEET_NAME)
SHEET_ROWS, LISTED = 6, 8
LICENCES = (
    "cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nd-4.0 "
    "cc-by-nc-sa-4.0 cc-by-nc-nd-4.0 odbl odc-by pddl mit apache-2.0 bsd-3-clause".split()
)
KINDS = {
    "panorama": "Rotational motion blur from 360-degree panoramas: a virtual camera turns between "
    "two orientations, and the frames that it sees on the way are averaged.",
    "video": "Dynamic motion blur from high-speed video: consecutive frames, cut alike and never "
    "resized, are averaged.",
}
QUANTITIES = {
    "n": "frames averaged",
    "max_step_px": "largest step of a pixel between two of them, pixels",
    "clipped": "share of the middle frame's pixels with a channel at 255",
}
PAPER = (
    "The data are of the kind that *Restoration of Video Frames from a Single Blurred Image with "
    "Motion Understanding* (CVPRW 2021) describes."
)


def write_card(
    folder: AnyPath, indexes: Sequence[ShardIndex], manifest: dict, *, command: str, licence: str
) -> None:
    """Writes the card of a split whose shards are finished. command: as typed, or empty."""
    rows = [read_row(folder, index, entry) for index, entry in spread(indexes, SHEET_ROWS)]
    if rows:
        write_whole(folder / SHEET_NAME, encode_image(contact_sheet(rows), "png"))
    text = card_text(manifest, indexes, rows, command=command, licence=licence)
    write_whole(folder / CARD_NAME, text.encode())


def check_licence(text: str) -> None:
    """That the text fits a line of the card."""
    if not text.isprintable() or len(text) > 200 or text != text.strip():
        raise ValueError(
            "expected --licence of up to 200 printable characters, as CC-BY-4.0, "
            f"found {text[:80]!r}"
        )


def card_text(
    manifest: dict,
    indexes: Sequence[ShardIndex],
    rows: Sequence[Row],
    *,
    command: str,
    licence: str,
) -> str:
    """The Markdown of a split's README. manifest: but for `run`, which differs from run to run."""
    parts = [
        _front_matter(manifest, licence),
        _what(manifest, indexes),
        _pictures(rows),
        _how(manifest, command),
        _table("Options", ("option", "value"), _all_options(manifest)),
        _table("Statistics", ("quantity", "mean", "least", "greatest", ""), _statistics(manifest)),
        _sources(manifest, indexes),
        _failures(manifest["failures"]),
        _licence(licence),
        _reading(manifest),
        PAPER,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: object) -> str:
    """In one line, so that Markdown takes it for what it is, in a table too."""
    line = "".join(c if c.isprintable() else " " for c in str(text)).strip()
    line = re.sub(r"([\\`*_{}\[\]<>#|~$&!])", r"\\\1", line)
    return re.sub(r"^(\d*)([-+=.)])(?!\w)", r"\1\\\2", line)  # what would begin a list


def fenced(text: str, language: str = "") -> str:
    """A block of code that nothing in the text can end."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 0)
    return f"{fence}{language}\n{text}\n{fence}"


def _front_matter(manifest: dict, licence: str) -> str:
    name = json.dumps(f"{manifest['data_set']} ({manifest['split']})", ensure_ascii=False)
    lines = [
        *_licence_fields(licence),
        f"pretty_name: {name}",
        *("size_categories:", f"- {size_category(manifest['totals']['samples'])}"),
        *("task_categories:", "- image-to-image"),
        *("tags:", "- motion-blur", "- deblurring", "- webdataset", "- blursynth"),
    ]
    return "\n".join(["---", *lines, "---"])


def _licence_fields(licence: str) -> list[str]:
    if not licence:
        return ["license: unknown"]
    if licence.lower() in LICENCES:
        return [f"license: {licence.lower()}"]
    return ["license: other", f"license_name: {json.dumps(licence, ensure_ascii=False)}"]


def size_category(samples: int) -> str:
    """As dataset hubs name it: n<1K, 1K<n<10K, ..."""
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    power = min(sum(samples >= 10 ** (3 + k) for k in range(7)), 6)
    return f"{bounds[power - 1]}<n<{bounds[power]}" if power else "n<1K"


def _what(manifest: dict, indexes: Sequence[ShardIndex]) -> str:
    totals, sizes = manifest["totals"], {i.size_hw for i in indexes if i.samples}
    frames = [entry.frame_count for index in indexes for entry in index.samples]
    shapes = " and ".join(f"{w}x{h}" for h, w in sorted(sizes)) or "no"
    shards = len(manifest["shards"])
    return (
        f"# {plain(manifest['data_set'])}, {manifest['split']}\n\n{KINDS[manifest['kind']]}\n\n"
        f"{totals['samples']:,} samples in {shards:,} shard{'' if shards == 1 else 's'} "
        f"({totals['bytes'] / 1e6:,.1f} MB), plain WebDataset: each a blurred image of {shapes} "
        f"pixels, {_range(frames)} sharp frames in the order of time "
        f"({manifest['options']['image_format']}), and what is known of its motion as JSON."
    )


def _range(numbers: Sequence[int]) -> str:
    least, greatest = min(numbers, default=0), max(numbers, default=0)
    return f"{least}" if least == greatest else f"{least} to {greatest}"


def _pictures(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    cells = [(row.key, plain(row.source), row.n, _length(row.blur_px)) for row in rows]
    lead = (
        f"![Blur, first, middle and last frame of {len(rows)} samples]({SHEET_NAME})\n\n"
        "From left to right: the blurred image; its first, middle and last frame. From the top:"
    )
    return f"{lead}\n\n{_rows(('sample', 'source', 'frames averaged', 'blur, pixels'), cells)}"


def _length(pixels: float) -> str:
    return f"{pixels:.1f}" if math.isfinite(pixels) else ""


def _how(manifest: dict, command: str) -> str:
    typed = f"{fenced(command)}\n\n" if command else ""
    return (
        f"## How they were made\n\n{typed}With blursynth {manifest['tool_version']}; fingerprint "
        f"(sha256 of options and sources) `{manifest['fingerprint']}`."
    )


def _all_options(manifest: dict) -> Iterator[tuple[str, str]]:
    kinds = (manifest["options"], manifest["options_left_out"])
    yield from sorted(row for options in kinds for row in _options(options))


def _options(options: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Those that were given or have a default, by name."""
    for name, value in sorted(options.items()):
        if isinstance(value, dict):
            yield from _options(value, f"{prefix}{name}.")
        elif value is not None:
            yield plain(prefix + name), plain(value)


def _statistics(manifest: dict) -> Iterator[tuple[str, ...]]:
    for name, text in QUANTITIES.items():
        if one := manifest["statistics"].get(name):
            values = (one["sum"] / one["count"], one["min"], one["max"])
            yield plain(name), *(f"{value:.3g}" for value in values), text


def _sources(manifest: dict, indexes: Sequence[ShardIndex]) -> str:
    names = list(dict.fromkeys(source for index in indexes for source in index.sources))
    listed = [f"- {plain(name)}" for name in names[:LISTED]]
    if more := len(names) - len(listed):
        listed.append(f"- and {more:,} more; `manifest.json` lists all with their digests")
    whole = len(manifest["sources"])
    lead = f"## Sources\n\n{len(names):,} of the data set's {whole:,} gave these samples."
    return "\n\n".join([lead, *(["\n".join(listed)] if listed else [])])


def _failures(failures: Sequence[Sequence[str]]) -> str:
    """Those of the whole data set."""
    lines = [f"- {plain(source)}: {plain(reason)}" for source, reason in failures[:LISTED]]
    if more := len(failures) - len(lines):
        lines.append(f"- and {more:,} more; `manifest.json` lists all")
    lead = "Left out of the data set, in whole or in part:"
    return "\n".join([lead, "", *lines]) if lines else ""


def _licence(licence: str) -> str:
    stated = f"Licence of these data: {plain(licence)}."
    said = stated if licence else "The licence of these data is not stated."
    return f"## Licence\n\n{said} The licences of the sources apply to what was made of them."


def _reading(manifest: dict) -> str:
    name, tars = manifest["data_set"], [shard["tar"] for shard in manifest["shards"]]
    first, last = (tar.removesuffix(".tar").rpartition("-")[2] for tar in (tars[0], tars[-1]))
    numbers = first if first == last else f"{{{first}..{last}}}"
    shell = f"blursynth verify {name}/\nblurvid train --shards {name}/"
    url = f"{name}-{manifest['split']}-{numbers}.tar"
    python = (
        "import webdataset\n\n"
        f'samples = webdataset.WebDataset("{url}", shardshuffle=False).decode("rgb8")'
    )
    return f"## How to read them\n\n{fenced(shell)}\n\n{fenced(python, 'python')}"


def _table(title: str, head: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    rows = list(rows)
    return f"## {title}\n\n{_rows(head, rows)}" if rows else ""


def _rows(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
