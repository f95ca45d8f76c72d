"""`blursynth panorama`, `blursynth gopro`: data sets from sources."""

from __future__ import annotations

from pathlib import Path

import click

from blursynth import generate, info, making, manifest, plan, sources, spec, verify

from . import params


@click.command(short_help="Rotational blur from panoramas.")
@params.source("sun360/", "The folder of panoramas, any depth of folders.")
@params.out
@params.name("panorama")
@click.option("--size", default=128, show_default=True, help="Side of the images in pixels.")
@click.option("--render-size", type=int, help="Render this size and cut --size out at random.")
@click.option("--fov", default=60.0, show_default=True, help="Horizontal field of view, degrees.")
@click.option("--xi", default=0.0, show_default=True, help="Unified sphere; 0 is the pinhole.")
@click.option("--max-angle", default=10.0, show_default=True, help="Limit of each angle, degrees.")
@click.option("--c", default=7.0, show_default=True, help="n = c + slope |beta|.")
@click.option("--slope", default=1.0, show_default=True, help="Frames per degree of |beta|.")
@click.option("--max-step-px", type=float, help="More frames until no pixel moves farther.")
@click.option(
    "--path",
    type=click.Choice(spec.PATHS),
    default="slerp",
    show_default=True,
    help="Constant speed, or the shake of a hand between the same ends.",
)
@click.option("--exposure", default="auto", show_default=True, help="HDR sources: auto or EV.")
@click.option(
    "--clip",
    type=click.Choice(spec.CLIP_CHOICES),
    default="frame",
    show_default=True,
    help="Light above white is lost in each frame, or after the mean.",
)
@click.option(
    "--quality",
    type=click.Choice(list(spec.QUALITIES)),
    default="default",
    show_default=True,
    help="high: finer and slower.",
)
@click.option("--per-panorama", default=29, show_default=True, help="Samples of each panorama.")
@params.frames("3")
@params.response
@params.noise
@params.seed
@params.packing
@params.running
def panorama(src, out, name, per_panorama, frames, response, noise, seed, packing, run, **shape):
    """Rotational blur from every panorama below --src (JPEG, PNG, TIFF, WebP or Radiance .hdr,
    twice as wide as high), into <out>/<name>/{train,test}/.

    A virtual camera turns between two orientations; n = c + |beta| frames along the Slerp path are
    averaged to the blurred image, and the first, middle and last are stored beside it. The same
    command finishes what was interrupted.

    Example:  blursynth panorama --src sun360/ --out shards/
    """
    options = spec.PanoramaOptions(
        camera=spec.CameraOptions(
            shape["size"], shape["render_size"], shape["fov"], shape["xi"], noise
        ),
        rotation=spec.RotationOptions(
            shape["max_angle"], shape["c"], shape["slope"], shape["max_step_px"], shape["path"]
        ),
        frames=frames,
        response=response,
        exposure=shape["exposure"],
        clip=shape["clip"],
        quality=shape["quality"],
        seed=seed,
    )
    data_set = spec.DataSetOptions(name, **packing)
    digests = sources.Digests(out / name / manifest.DIGESTS_NAME)
    found, failures = sources.find_panoramas(src, digests)
    planned = plan.plan_panoramas(
        out, found, options=options, data_set=data_set, per_panorama=per_panorama
    )
    _make(planned, making.PanoramaMaker(name, options), digests, run, failures)


@click.command(short_help="Dynamic blur from high-speed video.")
@params.source("gopro/", "Frame folders, the GoPro layouts, or video files; or one video file.")
@params.out
@params.name("gopro")
@click.option("--n", default=7, show_default=True, help="Consecutive frames averaged; odd.")
@click.option("--crop", default=256, show_default=True, help="Side of the random crops, pixels.")
@click.option("--stride", default=1, show_default=True, help="Frames from window to window.")
@click.option("--crops-per-window", default=1, show_default=True, help="Crops of each window.")
@click.option(
    "--interpolate",
    default=0,
    show_default=True,
    help="Frames made by optical flow between each two before averaging.",
)
@params.frames("all")
@params.response
@params.noise
@params.seed
@params.packing
@params.running
def gopro(src, out, name, interpolate, noise, packing, run, **shape):
    """Dynamic blur from every scene below --src, into <out>/<name>/{train,test}/.

    Each window of n consecutive frames, cut alike at random and never resized, is averaged to the
    blurred image; windows never cross a gap in the numbering. Scenes in folders named train and
    test stay there, others are split by clip. The same command finishes what was interrupted.

    Example:  blursynth gopro --n 7 --crop 256
    """
    options = spec.VideoOptions(**shape, blur=spec.BlurOptions(interpolate, noise))
    data_set = spec.DataSetOptions(name, **packing)
    digests = sources.Digests(out / name / manifest.DIGESTS_NAME)
    found, failures = sources.find_scenes(src, digests)
    fitting, refused = plan.fitting_scenes(found, options)
    planned = plan.plan_windows(out, fitting, options=options, data_set=data_set)
    _make(planned, making.WindowMaker(name, options), digests, run, failures + refused)


def _make(planned, maker, digests: sources.Digests, run: generate.RunOptions, failures) -> None:
    """Runs a plan with a progress bar, and says what came of it."""
    for note in planned.notes:
        click.echo(f"note: {note}", err=True)
    if isinstance(planned.folder, Path):
        verify.refuse_inside(planned.folder)
    if not (planned.folder / manifest.PLAN_NAME).exists():
        manifest.refuse_foreign(planned.folder)
    total = sum(shard.samples for shard in run.part.of(planned.shards))
    with params.progress(total, "samples") as on_progress:
        digests.save()
        result = generate.generate(
            planned, maker, run=run, failures=failures, on_progress=on_progress
        )
    for failure in result.failures:
        click.echo(f"left out {failure.source}: {failure.reason}", err=True)
    for split in info.empty_splits(result.indexes) if not result.missing else ():
        click.echo(f"note: the {split} split is empty, as every source of it was left out", err=True)
    click.echo(info.run_summary(planned, result))
