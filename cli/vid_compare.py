"""`blurvid compare`."""

from __future__ import annotations

from pathlib import Path

import click

from . import vid_options as options


@click.command(short_help="Several runs side by side, beside the paper's numbers.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=options.FOLDER)
@click.option(
    "--protocol",
    default="sequence",
    show_default=True,
    help="Direction of time, one of those that evaluate was given.",
)
@click.option("--out", type=options.FOLDER, help="Folder for compare.txt, .csv and .json.")
def compare(runs: tuple[Path, ...], protocol: str, out: Path | None) -> None:
    """Set several runs side by side in the form of the paper's tables, beside its numbers.

    Reads what `blurvid evaluate --out` wrote: a RUN is the folder of an evaluation.json, or a run
    folder with evaluation/evaluation.json in it. Prints a table for each data set that was
    measured alike (same data, split, response and number of frames), and each run against the
    first, sample by sample, with a 95 % bootstrap interval. Writes nothing without --out.

    Example: blurvid compare runs/full runs/light --out comparison/
    """
    from blurvid.compare import as_text, write_comparison
    from blurvid.compare import compare as compared
    from blurvid.evaluated import read_runs

    options.refuse_file(out, "the tables")
    comparisons = compared(read_runs(runs, protocol=protocol))
    click.echo(as_text(comparisons), nl=False)
    if out is not None:
        write_comparison(out, comparisons)
        click.echo(f"written to {out}")
