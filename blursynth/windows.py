"""WindowSpec + video -> frames and the blurred image; each source frame is decoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import cv2
import numpy as np

from .imagefile import decode_file
from .interpolate import MARGIN, interleaved
from .light import clipped_share, mean_of_frames
from .schema import SCHEMA_VERSION, Sample
from .shards import Failure
from .sources import Scene
from .spec import VideoOptions, WindowSpec

FLOW_SIDE = 128  # pixels: windows are shrunk to about this before their flow is estimated


def window_samples(
    scene: Scene,
    specs: Iterable[WindowSpec],
    options: VideoOptions,
    *,
    rngs: Iterable[np.random.Generator | None] = repeat(None),
) -> Iterator[Sample | Failure]:
    """Samples of windows given in the order of their starts. rngs: one for each, if there is noise.

    A frame that cannot be used is a failure, told once, in the place of the windows that hold it.
    """
    frames = FrameReader(scene)
    told = set()
    for spec, rng in zip(specs, rngs, strict=False):
        try:
            window = frames.window(spec.start, spec.n)
        except ValueError as error:
            if str(error) not in told:
                yield Failure(scene.name, f"{error}; the windows that hold it are left out")
            told.add(str(error))
            continue
        cut = np.stack(list(_cut_out(window, spec.crop_xywh)))
        averaged = _averaged(window, cut, spec, options.blur.interpolate)
        blur = mean_of_frames(averaged, options.response, options.blur.noise.drawn_by(rng))
        yield Sample(spec.key, blur, cut[list(spec.stored)], _metadata(scene, spec, options, cut))


def _averaged(
    window: Sequence[np.ndarray], cut: np.ndarray, spec: WindowSpec, interpolated: int
) -> Iterable[np.ndarray]:
    """The frames of which the blurred image is the mean: those of the crop, and interpolated ones,
    which are made with a margin around it, as far as the picture reaches."""
    if not interpolated:
        return cut
    x, y, width, height = spec.crop_xywh
    left, top = max(x - MARGIN, 0), max(y - MARGIN, 0)
    wide = (left, top, x + width + MARGIN - left, y + height + MARGIN - top)
    frames = list(_cut_out(window, wide))
    inside = slice(y - top, y - top + height), slice(x - left, x - left + width)
    return (frame[inside] for frame in interleaved(frames, interpolated))


def _cut_out(
    window: Iterable[np.ndarray], crop_xywh: tuple[int, int, int, int]
) -> Iterator[np.ndarray]:
    """RGB crops of BGR frames."""
    x, y, width, height = crop_xywh
    for bgr in window:
        yield cv2.cvtColor(bgr[y : y + height, x : x + width], cv2.COLOR_BGR2RGB)


def _metadata(scene: Scene, spec: WindowSpec, options: VideoOptions, cut: np.ndarray) -> dict:
    middle = cut[spec.n // 2]
    interpolated, noise = options.blur.interpolate, options.blur.noise
    return {
        "schema": SCHEMA_VERSION,
        "kind": "video",
        "source": scene.name,
        "n": (spec.n - 1) * (interpolated + 1) + 1,
        "times": [position / (spec.n - 1) for position in spec.stored],
        "response": options.response,
        "exact_mean": not interpolated and not noise.told,
        "seed": options.seed,
        "direction": direction_of(cut),
        "clipped": clipped_share(middle),
        "scene": scene.name.rpartition("/")[2],
        "first_frame": frame_name(scene, spec.start),
        "crop_xywh": list(spec.crop_xywh),
        **({"interpolated": interpolated} if interpolated else {}),
        **noise.told,
    }


def frame_name(scene: Scene, position: int) -> str:
    """The file name of a frame; in a video file its number, counted from 0."""
    if scene.files:
        return scene.files[position].name
    return f"{scene.numbers[position]:06d}"


def direction_of(frames: np.ndarray) -> list[float]:
    """(n, H, W, 3) -> (x, y, 0) pixels: mean flow from the middle to the last frame minus mean flow
    from the middle to the first. Exactly negated when the frames are reversed (spec 1.5)."""
    first, middle, last = (_flow_image(frames[k]) for k in (0, len(frames) // 2, -1))
    estimate = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    forwards, backwards = (
        estimate.calc(middle, other, None).astype(float).mean((0, 1)) for other in (last, first)
    )
    scale = np.array(frames.shape[2:0:-1]) / middle.shape[::-1]
    x, y = ((forwards - backwards) * scale).tolist()
    return [x, y, 0.0]


def _flow_image(frame: np.ndarray) -> np.ndarray:
    """Grey, shrunk by area to about FLOW_SIDE pixels."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    factor = max(min(grey.shape) // FLOW_SIDE, 1)
    size = (max(grey.shape[1] // factor, 16), max(grey.shape[0] // factor, 16))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


# --- reading frames --------------------------------------------------------------------------


class FrameReader:
    """Frames of a scene by position, (H, W, 3) uint8 BGR, for windows that move forwards only."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._refused: dict[int, str] = {}
        self._video: cv2.VideoCapture | None = None
        self._next = 0

    def window(self, start: int, n: int) -> list[np.ndarray]:
        """The n frames from `start` on; those before `start` are forgotten."""
        for position in [p for p in self._kept if p < start]:
            del self._kept[position]
        for position in range(start, start + n):
            if position not in self._kept:
                self._kept[position] = self._frame(position)
        return [self._kept[position] for position in range(start, start + n)]

    def _frame(self, position: int) -> np.ndarray:
        """Opened once, also where it cannot be used."""
        if position not in self._refused:
            try:
                return self._checked(position)
            except (ValueError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                name = frame_name(self._scene, position)
                self._refused[position] = f"its frame {name} cannot be used: {reason}"
        raise ValueError(self._refused[position])

    def _checked(self, position: int) -> np.ndarray:
        if self._scene.files:
            bgr = decode_file(self._scene.files[position].read_bytes(), cv2.IMREAD_COLOR)
        else:
            bgr = self._read_video(position)
        if bgr.shape[:2] != self._scene.size_hw:
            (height, width), (first_height, first_width) = bgr.shape[:2], self._scene.size_hw
            raise ValueError(
                f"expected the size of the scene's first frame, {first_width}x{first_height}, "
                f"found {width}x{height}"
            )
        return bgr

    def _read_video(self, position: int) -> np.ndarray:
        """Counts from the file's start: seeking by time does not hit the frame in every codec."""
        if self._video is None or position < self._next:
            self._video, self._next = cv2.VideoCapture(str(self._scene.path)), 0
        while self._next < position and self._video.grab():
            self._next += 1
        self._next += 1
        readable, bgr = self._video.read()
        if not readable:
            raise ValueError("it does not come out of the video")
        return bgr
