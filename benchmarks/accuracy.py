"""How near stored panorama frames come to a supersampled reference, beside other packages.

    python benchmarks/accuracy.py PANORAMAS_DIR --reference PATH/render.py
        [--limit-views 20] [--panoramas N] [--fov 60 --fov 90] [--xi 0 --xi 0.5]

PANORAMAS_DIR holds 8-bit equirectangular pictures. The reference renderer (imported from its path)
averages 24x24 samples per pixel of the full picture in linear light. Each view is a stored 8-bit
sRGB frame of a sample as `blursynth panorama` makes it: first, middle and last frames in turn; of
20 views two look across the seam and two at a pole. The other packages make pinholes only.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import cv2
import joblib
import numpy as np
from peers import FED, PEERS, pytorch360convert_view, shrunk

from blursynth import plan, rotation, sources
from blursynth.camera import hfov_deg_of
from blursynth.panorama import load_level
from blursynth.render import render_sample
from blursynth.spec import CameraOptions, PanoramaOptions, PanoramaSpec

# Options of ours beside the defaults: a row here is a column of the table.
OURS: dict[str, dict] = {"ours": {}, "high": {"quality": "high"}}
PLACES = ("seam", "seam", "pole", "pole")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
LEAST_DB, LEAST_GAIN_DB, SMOOTH_DB = 36.0, 12.0, 45.0


@dataclass(frozen=True)
class View:
    """One stored frame of a sample. place: `seam`, `pole` or `` for anywhere."""

    spec: PanoramaSpec
    frame: int
    place: str

    @property
    def quat_wxyz(self) -> np.ndarray:
        ends = (np.array(q) for q in self.spec.quat_first_last)
        return rotation.slerp(*ends, np.array([self.spec.times[self.frame]]))[0]


# --- views -----------------------------------------------------------------------------------


def views_of(source: str, options: PanoramaOptions, count: int) -> list[View]:
    """Seeded by the source's name; those across the seam and at the poles come first."""
    return [_view(source, number, options) for number in range(count)]


def _view(source: str, number: int, options: PanoramaOptions) -> View:
    spec = plan.panorama_spec("accuracy", source, number, options)
    place = PLACES[number] if number < len(PLACES) else ""
    view = View(spec, number % len(spec.times), place)
    return view if not place else _turned(view, _aim(view, number, options.camera.hfov_deg))


def _aim(view: View, number: int, hfov_deg: float) -> np.ndarray:
    """(4,) wxyz: where a view across the seam or at a pole looks."""
    rng = np.random.default_rng([number, int(sources.source_digest(view.spec.source), 16)])
    off_centre, pitch, roll = rng.uniform(-1, 1, 3)
    if view.place == "seam":
        return rotation.quat_looking_at(180 + off_centre * hfov_deg / 4, 40 * pitch, 10 * roll)
    side = 1 if number % 2 else -1
    return rotation.quat_looking_at(180 * roll, side * (90 - abs(off_centre) * hfov_deg / 3), 0)


def _turned(view: View, aim_wxyz: np.ndarray) -> View:
    """The same exposure of a camera that is turned as a whole, so that this frame looks at `aim`."""
    back = view.quat_wxyz * [1, -1, -1, -1]
    turn = rotation.multiply(aim_wxyz, back)
    ends = (rotation.multiply(turn, np.array(end)) for end in view.spec.quat_first_last)
    return replace(view, spec=replace(view.spec, quat_first_last=tuple(tuple(e) for e in ends)))


# --- pictures --------------------------------------------------------------------------------


def references(
    path: Path, views: list[View], renderer: ModuleType, supersample: int
) -> list[np.ndarray]:
    """(H, W, 3) float sRGB RGB in [0, 255] of each view, not rounded; threads share the picture."""
    linear = renderer.TO_LINEAR[_read_rgb(path)]

    def render(view: View) -> np.ndarray:
        camera = view.spec.camera
        turn = renderer.rotation(view.quat_wxyz)
        hfov_deg = hfov_deg_of(camera)
        light = renderer.reference_view(
            linear, turn, camera.size_hw, hfov_deg, camera.xi, camera.principal_xy, supersample
        )
        return renderer.encode(light)

    return joblib.Parallel(n_jobs=-1, backend="threading")(joblib.delayed(render)(v) for v in views)


def our_frames(path: Path, views: list[View], options: PanoramaOptions) -> Iterator[np.ndarray]:
    level = load_level(path, options)
    for view in views:
        yield render_sample(view.spec, level, options).frames[view.frame]


def peer_frames(
    rgb: np.ndarray, views: list[View], make_view: Callable
) -> Iterator[np.ndarray]:
    look = make_view(rgb)
    for view in views:
        yield look(view.spec.camera, view.quat_wxyz)


def _read_rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def all_frames(
    path: Path, views: list[View], camera_options: CameraOptions
) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """(method, its frames of the views)."""
    for name, other in OURS.items():
        yield name, our_frames(path, views, PanoramaOptions(camera=camera_options, **other))
    if camera_options.xi == 0:
        rgb = _read_rgb(path)
        for name, make_view in PEERS.items():
            yield name, peer_frames(rgb, views, make_view)
        small = shrunk(rgb, camera_options.rendered())
        yield "resized", peer_frames(small, views, pytorch360convert_view)


def scores(
    path: Path, camera_options: CameraOptions, renderer: ModuleType, args: argparse.Namespace
) -> tuple[list[View], dict[str, np.ndarray]]:
    """The views and each method's dB in them."""
    views = views_of(path.name, PanoramaOptions(camera=camera_options), args.limit_views)
    truth = references(path, views, renderer, args.supersample)
    found = {
        name: np.array([renderer.psnr(f, t) for f, t in zip(frames, truth, strict=True)])
        for name, frames in all_frames(path, views, camera_options)
    }
    return views, found


# --- the table -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Mean dB by method in all views of a panorama, and in those at each place."""

    all: dict[str, float]
    by_place: dict[str, dict[str, float]]
    least: float

    @property
    def gain(self) -> float:
        """Ours less the best bilinear sampling of the full picture; infinite where there is none."""
        return self.all["ours"] - max((self.all[p] for p in PEERS if p in self.all), default=-np.inf)

    def of_ours(self) -> list[str]:
        """Worst view, seam, poles, gain."""
        at = (self.by_place.get(place, {}).get("ours", np.nan) for place in ("seam", "pole"))
        found = (self.least, *at, self.gain)
        return [f"{value:5.2f}" if np.isfinite(value) else "    -" for value in found]

    @property
    def verdict(self) -> str:
        """Of the targets of accuracy."""
        gained = self.all["ours"] >= SMOOTH_DB or self.gain >= LEAST_GAIN_DB
        return "met" if self.all["ours"] >= LEAST_DB and gained else "MISSED"


def row_of(views: list[View], found: dict[str, np.ndarray]) -> Row:
    places = np.array([view.place for view in views])
    return Row(
        {name: float(values.mean()) for name, values in found.items()},
        {
            place: {name: float(values[places == place].mean()) for name, values in found.items()}
            for place in sorted(set(places))
        },
        float(found["ours"].min()),
    )


def mean_of(columns: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([c[name] for c in columns])) for name in columns[0]}


def line(name: str, columns: dict[str, float], *others: str) -> str:
    cells = "".join(f"{value:{max(len(key), 5) + 2}.2f}" for key, value in columns.items())
    return f"{name:36.36}{cells}  {'  '.join(others)}".rstrip()


def print_table(
    paths: list[Path], camera: CameraOptions, renderer: ModuleType, args: argparse.Namespace
) -> None:
    """The first of the paths is the smooth panorama, which counts in no mean."""
    print(f"\nhfov {camera.hfov_deg:g} degrees, xi {camera.xi:g}, {camera.size} px, "
          f"dB, mean over {args.limit_views} views\n")
    rows = []
    for path in paths:
        row = row_of(*scores(path, camera, renderer, args))
        if not rows:
            header = "".join(f"{key:>{max(len(key), 5) + 2}}" for key in row.all)
            print(f"{'panorama':36}{header}  worst   seam   pole   gain")
        print(line(path.stem, row.all, *row.of_ours(), row.verdict if rows else ""), flush=True)
        rows.append(row)
    print_summary(rows[1:])


def print_summary(rows: list[Row]) -> None:
    print(line("mean", mean_of([row.all for row in rows])))
    print(line("least", {name: min(row.all[name] for row in rows) for name in rows[0].all}))
    names = {"": "mean of the other views", "seam": "mean across the seam", "pole": "mean at the poles"}
    for place in rows[0].by_place:
        print(line(names[place], mean_of([row.by_place[place] for row in rows])))


def write_smooth_panorama(path: Path, width: int = 4096) -> Path:
    """Waves on the sphere, smooth across the seam and the poles: nothing to alias, so that a wrong
    convention shows and little else."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(width // 2) + 0.5) * 2 / width)
    longitude, latitude = (x - 0.5) * 2 * np.pi, (y - 0.5) * np.pi
    level = np.cos(latitude)
    sphere = np.stack([level * np.sin(longitude), np.sin(latitude), level * np.cos(longitude)], -1)
    wave_numbers = np.random.default_rng(0).normal(size=(3, 3)) * 6
    cv2.imwrite(str(path), np.rint(np.sin(sphere @ wave_numbers) * 100 + 120).astype(np.uint8))
    return path


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)
    renderer = load_reference(args.reference)
    paths = sorted(p for p in args.panoramas_dir.iterdir() if p.suffix.lower() in SUFFIXES)
    with tempfile.TemporaryDirectory() as folder:
        smooth = write_smooth_panorama(Path(folder, "(smooth waves: conventions).png"))
        for xi in args.xi or [0.0]:
            for fov in args.fov or [60.0, 90.0]:
                camera = CameraOptions(hfov_deg=fov, xi=xi)
                print_table([smooth, *paths[: args.panoramas]], camera, renderer, args)
    print(FOOTNOTE)


FOOTNOTE = f"""
Reference: the mean of 24x24 (--supersample) bilinear samples per pixel of the full picture in linear
light, as sRGB. ours: the stored 8-bit frame under the default options; high: with --quality high.
worst: ours in one view; seam, pole: ours in two views each (of 20). gain: ours less the best of the
three packages' bilinear samples of the full picture. Targets: ours >= {LEAST_DB:g}, and
gain >= {LEAST_GAIN_DB:g} or ours >= {SMOOTH_DB:g}.
Smooth waves cannot alias: there all should be near 58.9, which is rounding to 8 bits alone.
{FED}"""


def load_reference(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("reference_renderer", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("panoramas_dir", type=Path)
    parser.add_argument("--reference", type=Path, required=True, help="render.py")
    parser.add_argument("--limit-views", type=int, default=20)
    parser.add_argument("--panoramas", type=int, help="only the first so many")
    parser.add_argument("--fov", type=float, action="append", help="degrees; default 60 and 90")
    parser.add_argument("--xi", type=float, action="append", help="default 0")
    parser.add_argument("--supersample", type=int, default=24)
    return parser.parse_args()


if __name__ == "__main__":
    main()
