"""`blurvid restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blursynth.stopped import RunStopped

from . import vid_options as options

IMAGE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Restore the frames of blurred images.")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=IMAGE)
@options.checkpoint
@click.option("--out", type=options.FOLDER, required=True, help="Gets a folder for each image.")
@click.option("--fps", default=8.0, show_default=True, help="Speed of the animation.")
@click.option("--gif", is_flag=True, help="Write the animation as a GIF as well.")
@click.option("--boomerang", is_flag=True, help="Play the animation forth and back.")
@options.device_name
def restore(
    images: tuple[Path, ...], checkpoint: Path, out: Path, device_name: str, **playback: Any
) -> None:
    """Restore the sharp frames that one blurred image hides; any image, any size.

    Reads each IMAGE and writes <out>/<its name>/: frame_000.png, frame_001.png ... in the order of
    time, strip.png (the blurred image and the frames side by side) and video.webp (animated). An
    image above 1.5 megapixels is restored in overlapping tiles. A blur looks the same in both
    directions of time: the frames may run backwards.

    Example: blurvid restore photo.jpg --checkpoint runs/small --out restored/
    """
    from blurvid.checkpoint import load_model
    from blurvid.restore import Playback, Restored, restore_files

    device = options.torch_device(device_name)
    model = load_model(options.checkpoint_file(checkpoint), device)
    results = []
    for result in restore_files(model, images, out, device=device, playback=Playback(**playback)):
        results.append(isinstance(result, Restored))
        if results[-1]:
            click.echo(f"{result.image} -> {result.folder}")
        else:
            click.echo(result.reason, err=True)
    unread = results.count(False)
    if unread == len(results):
        raise ValueError("expected a picture, found none that can be read; nothing is restored")
    if unread:
        raise RunStopped(
            f"{unread} of {len(results)} images could not be read; the others are restored"
        )
