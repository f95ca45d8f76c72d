"""Any image of any size -> the frames that its blur hides, as pictures and an animation.

    photo -> read_image -> restore_image (tiles of a large one, blended) -> write_restoration

Images in memory are (H, W, 3) uint8 RGB.
"""

import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from blurvid.batch import channels_first, unit_range
from blurvid.restoration import Restoration

MAX_WHOLE_PIXELS = 1_500_000
TILE = 1024
OVERLAP = 128
ALIGNMENT = 32  # tiles begin at multiples of the network's stride: they see the same grid
PREVIEW_SIDE = 1280
STRIP_GAP = 4
STRIP_NAME, WEBP_NAME, GIF_NAME = "strip.png", "video.webp", "video.gif"
OWN_NAMES = re.compile(r"frame_\d{3,}\.png|strip\.png|video\.(webp|gif)")
WEBP_PARAMETERS = [cv2.IMWRITE_WEBP_QUALITY, 90]
# A little dithering. IMWRITE_GIF_QUALITY is left alone: some values kill the process (OpenCV 5.0).
GIF_PARAMETERS = [cv2.IMWRITE_GIF_DITHER, 2]


@dataclass(frozen=True)
class Playback:
    """How an animation plays. boomerang: forth and back instead of forth alone. gif: a GIF
    stands beside the animated WebP."""

    fps: float = 8.0
    boomerang: bool = False
    gif: bool = False

    def __post_init__(self):
        if not 0.1 <= self.fps <= 100:
            raise ValueError(f"expected 0.1 to 100 frames per second, found {self.fps:g}")


@dataclass(frozen=True)
class Restored:
    """An image and the folder that now holds its frames."""

    image: Path
    folder: Path


@dataclass(frozen=True)
class Unreadable:
    """An image that gave no frames, and why; the others go on."""

    image: Path
    reason: str


def restore_files(
    model, images: Sequence[Path], out: Path, *, device: torch.device, playback: Playback
) -> Iterator[Restored | Unreadable]:
    """One image after the other into its own folder below `out`, named after the image."""
    images = list(dict.fromkeys(images))
    folders = [out / name for name in folder_names(images)]
    for folder in folders:
        refuse_foreign_folder(folder)
    for image, folder in zip(images, folders, strict=True):
        try:
            blur = read_image(image)
        except (ValueError, OSError) as error:
            yield Unreadable(image, str(error))
            continue
        frames = restore_image(model, blur, device=device)
        write_restoration(folder, blur, frames, playback=playback)
        yield Restored(image, folder)


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of any picture that OpenCV reads: 16 bit, grey and alpha as well.

    Turned upright as its EXIF says; alpha is dropped.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except cv2.error as error:
        raise ValueError(f"{path}: {error.err}") from error
    if image is None:
        raise ValueError(f"{path}: expected a whole picture (PNG, JPEG, TIFF ...), found none")
    return image


# --- the prediction -------------------------------------------------------------------------


def predict(model, blur: Tensor) -> Restoration:
    """(B, 3, H, W) in [0, 1] -> the model's `restoration`, with finite frames."""
    with torch.inference_mode():
        restoration = model.restoration(blur)
    if not torch.isfinite(restoration.images[-1]).all():
        raise ValueError(
            "expected finite pixels from the checkpoint, found NaN or infinity: "
            "its training has diverged; take an earlier one"
        )
    return restoration


def restore_image(model, blur: np.ndarray, *, device: torch.device) -> np.ndarray:
    """(H, W, 3) uint8 -> (n, H, W, 3) uint8; a large image in tiles that are blended."""
    unit = unit_range(channels_first(blur))[None]
    frames, weight = None, torch.zeros(blur.shape[:2])
    for rows, columns, tile_weight in tiles(blur.shape[:2]):
        tile = predict(model, unit[..., rows, columns].to(device)).images[-1][0].float().cpu()
        if frames is None:
            frames = torch.zeros(*tile.shape[:2], *blur.shape[:2])
        there = frames[..., rows, columns]
        there += tile_weight * _turned_alike(tile, there, weight[rows, columns])
        weight[rows, columns] += tile_weight
    codes = frames.clamp_(0, 1).mul_(255).round_().byte()
    return np.ascontiguousarray(codes.permute(0, 2, 3, 1).numpy())


def _turned_alike(tile: Tensor, blended: Tensor, weight: Tensor) -> Tensor:
    """The tile, reversed in time where that fits better what its neighbours have left.

    A blur does not show the direction of time, so that each tile may have taken another. All are
    (n, 3, h, w); `blended` is the sum of weighted tiles so far, `weight` (h, w) of the weights.
    """
    as_it_is, reversed_ = ((blended - weight * t).abs().sum() for t in (tile, tile.flip(0)))
    return tile.flip(0) if reversed_ < as_it_is else tile


def tiles(size_hw: tuple[int, int]) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and weights (h, w) of overlapping tiles; at each pixel the weights sum to 1."""
    height, width = size_hw
    whole = height * width <= MAX_WHOLE_PIXELS
    windows = [[slice(0, n)] if whole else axis_windows(n) for n in size_hw]
    (all_rows, all_columns), (row_weights, column_weights) = windows, map(axis_weights, windows)
    for rows, down in zip(all_rows, row_weights, strict=True):
        for columns, across in zip(all_columns, column_weights, strict=True):
            yield rows, columns, down[:, None] * across


def axis_windows(length: int) -> list[slice]:
    """Overlapping windows of at most `TILE` that cover 0 ... length, about equally long."""
    rest = length - OVERLAP
    count = max(1, math.ceil(rest / (TILE - OVERLAP)))
    step = math.ceil(rest / count / ALIGNMENT) * ALIGNMENT
    return [slice(i * step, min((i + 1) * step + OVERLAP, length)) for i in range(count)]


def axis_weights(windows: Sequence[slice]) -> list[Tensor]:
    """The weight of each window along itself: ramps where two overlap, summing to 1."""
    weights = [torch.ones(w.stop - w.start) for w in windows]
    for i in range(1, len(windows)):
        shared = windows[i - 1].stop - windows[i].start
        ramp = (torch.arange(shared) + 0.5) / shared
        weights[i][:shared] *= ramp
        weights[i - 1][-shared:] *= 1 - ramp
    return weights


# --- what is written ------------------------------------------------------------------------


def folder_names(images: Sequence[Path]) -> list[str]:
    """A name for each image: its own without the suffix; -2, -3 ... behind it if it is taken."""
    names: list[str] = []
    for image in images:
        tries = (image.stem if k == 1 else f"{image.stem}-{k}" for k in range(1, len(images) + 1))
        names.append(next(name for name in tries if name not in names))
    return names


def refuse_foreign_folder(folder: Path) -> None:
    """That `folder` is absent or holds an earlier restoration and nothing else."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"{folder}: expected a folder or nothing there, found a file")
    foreign = sorted(p.name for p in folder.glob("*") if not OWN_NAMES.fullmatch(p.name))
    if foreign:
        raise ValueError(
            f"{folder}: expected an earlier restoration or nothing there, found {foreign[0]}; "
            "choose another --out"
        )


def write_restoration(
    folder: Path, blur: np.ndarray, frames: np.ndarray, *, playback: Playback
) -> None:
    """frame_000.png ..., the strip and the animation in `folder`: all of them or nothing.

    An earlier restoration there is replaced.
    """
    with folder_written_whole(folder) as temporary:
        for number, frame in enumerate(frames):
            _write(temporary / f"frame_{number:03d}.png", _encoded(frame, ".png"))
        previews = [preview(image) for image in (blur, *frames)]
        _write(temporary / STRIP_NAME, _encoded(strip(previews), ".png"))
        played = _played(previews[1:], playback)
        _write(temporary / WEBP_NAME, _animated(played, ".webp", playback.fps, WEBP_PARAMETERS))
        if playback.gif:
            _write(temporary / GIF_NAME, _animated(played, ".gif", playback.fps, GIF_PARAMETERS))


def preview(image: np.ndarray) -> np.ndarray:
    """The image, reduced if its longer side exceeds `PREVIEW_SIDE`."""
    scale = PREVIEW_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def strip(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images of one size side by side, a white gap between them."""
    gap = np.full((images[0].shape[0], STRIP_GAP, 3), 255, np.uint8)
    return np.hstack([part for image in images for part in (gap, image)][1:])


def _played(frames: list[np.ndarray], playback: Playback) -> list[np.ndarray]:
    return [*frames, *frames[-2:0:-1]] if playback.boomerang else frames


def _encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def _animated(frames: list[np.ndarray], suffix: str, fps: float, parameters: list[int]) -> bytes:
    """An animation that repeats for ever."""
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
    animation.durations = [round(1000 / fps)] * len(frames)
    animation.loop_count = 0
    done, data = cv2.imencodeanimation(suffix, animation, parameters)
    if not done:
        raise ValueError(f"OpenCV could not make an animation of {suffix}")
    return data.tobytes()


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Gives an empty temporary folder; it becomes `folder` unless an error comes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, earlier = (folder.with_name(f".{folder.name}.{s}") for s in ("partial", "earlier"))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(earlier, ignore_errors=True)
        if folder.exists():
            folder.rename(earlier)
        temporary.rename(folder)
        shutil.rmtree(earlier, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
