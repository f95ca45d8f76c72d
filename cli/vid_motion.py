"""`blurvid motion`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import params
from . import vid_options as options
from .params import progress


@click.command(short_help="Hold the predicted motion against the true one.")
@options.checkpoint
@params.shards
@params.cache_gb
@options.data
@options.split
@options.limit
@click.option(
    "--pictures",
    type=options.COUNT,
    default=8,
    show_default=True,
    help="Samples of each data set that are drawn, evenly spread.",
)
@click.option(
    "--out", type=options.FOLDER, required=True, help="Folder for the pictures and the tables."
)
@options.device_name
def motion(checkpoint: Path, shards: Any, out: Path, pictures: int, **chosen: Any) -> None:
    """Show what the model's spatial transformers understood of the motion.

    Reads the checkpoint and the data sets under --shards that have enough frames. Writes
    motion.png, the paper's Figure 6: the true middle frame moved by the predicted transformation,
    beside the true frames. For panoramas seen by a pinhole also paths.png, predicted paths over
    the true ones, and the end-point error in pixels against the true homography: motion.csv (each
    sample), motion.json and motion.txt, which is printed. A blur does not show the direction of
    time: the better one of each sample counts.

    Example: blurvid motion --checkpoint runs/small --shards shards/ --out motion/
    """
    from blurvid.checkpoint import load_model
    from blurvid.evaluate import sample_count
    from blurvid.motion_study import study_motion
    from blurvid.motion_tables import as_text, write_studies

    options.refuse_file(out, "pictures and tables")
    device = options.torch_device(chosen["device_name"])
    path = options.checkpoint_file(checkpoint)
    model = load_model(path, device)
    data = options.tested_data(shards, model.spec.frames, chosen)
    limit = chosen["limit"]
    with progress(sample_count(data, limit), "samples") as on_progress:
        studies = study_motion(
            model, data, device=device, limit=limit, pictures=pictures, on_progress=on_progress
        )
    click.echo("\n".join(as_text(study, str(path)) for study in studies), nl=False)
    names = write_studies(out, studies, str(path))
    click.echo(f"written to {out}: {', '.join(names)}")
