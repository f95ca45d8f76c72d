"""Motion as pictures: the paper's Figure 6, and the predicted paths over the true ones.

Pictures are (H, W, 3) uint8 RGB.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from blurvid.evaluate import has_homography
from blurvid.motion import (
    IDENTITY,
    in_better_direction,
    mean_of_known,
    padded_hw,
    pixel_transforms,
    predicted_paths,
    runs_backward,
    true_paths,
)
from blurvid.motion_study import MotionStudy, SampleMotion
from blurvid.restore import strip
from blurvid.run_folder import WHITE, stacked
from blurvid.tables import frame_names

CELL_SIDE, PANEL_SIDE = 128, 256  # px; smaller pictures are enlarged to that or a little more
MOST_SIDE = 512  # px; larger ones are reduced to that
LEAST_WIDTH = 80  # px, of a cell: room for its heading
LINE_HEIGHT, TEXT_SIZE, BASELINE = 22, 14, 16
LEGEND_WIDTH = 540
INK = (0, 0, 0)
TRUE_COLOUR, PREDICTED_COLOUR, MIDDLE_COLOUR = (0, 230, 60), (255, 40, 200), (255, 255, 255)
TRUE_WIDTH, PREDICTED_WIDTH = 5, 2  # px: both show where they coincide
GRID = 5  # points along each side
DIMMED = 0.7  # of the brightness, below paths
MARGIN = 1 / 8  # of the longer side, around the frame below paths, which may leave it
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates
FAR = 4  # sides of a panel: what lies farther out is drawn there


# --- Figure 6 -------------------------------------------------------------------------------


def figure_6(studies: Sequence[MotionStudy]) -> np.ndarray:
    """A block a data set, in it a row a sample below headings: the input, the true frames, and
    between them and the true middle frame the latter as each theta moves it (section 5.3.1)."""
    return stacked([block for study in studies for block in _figure_block(study)])


def _figure_block(study: MotionStudy) -> list[np.ndarray]:
    rows = [figure_cells(motion.turned()) for motion in study.shown]
    sizes = [image.shape[:2] for cells in rows for image in cells.values()]
    largest_hw = (max(h for h, _ in sizes), max(w for _, w in sizes))
    scale = _scale(largest_hw, CELL_SIDE)
    cell_hw = (round(largest_hw[0] * scale), max(round(largest_hw[1] * scale), LEAST_WIDTH))
    pictures = [strip([_cell(i, cell_hw, scale) for i in cells.values()]) for cells in rows]
    headings = strip([_text(heading, cell_hw[1]) for heading in rows[0]])
    return [_text(_title(study)), headings, *pictures]


def figure_cells(motion: SampleMotion) -> dict[str, np.ndarray]:
    """Heading -> picture, from left to right: of three frames the columns of Figure 6."""
    frames, moved = motion.sample.frames, iter(motion.moved_middle())
    names, middle = frame_names(len(frames)), len(frames) // 2
    cells = {"input": motion.sample.blur}
    for k, (name, frame) in enumerate(zip(names, frames, strict=True)):
        if k == middle:
            cells[name] = frame
            continue
        pair = {name: frame, f"T({names[middle]}; θ{name[1:]})": next(moved)}
        cells |= pair if k < middle else dict(reversed(pair.items()))
    return cells


# --- paths ----------------------------------------------------------------------------------


def path_panels(studies: Sequence[MotionStudy]) -> np.ndarray | None:
    """For each shown sample whose true motion is known, and for each network a panel: the middle
    frame, and where points of it go in the other frames, truly and as predicted; None where no
    true motion is known. Direction of time: the better one."""
    blocks = [block for study in studies for block in _path_block(study)]
    return stacked([_legend(), *blocks]) if blocks else None


def _path_block(study: MotionStudy) -> list[np.ndarray]:
    known = [motion for motion in study.shown if has_homography(motion.sample.meta)]
    rows = [row for motion in known for row in _path_rows(motion)]
    return [_text(_title(study)), *rows] if rows else []


def _path_rows(motion: SampleMotion) -> list[np.ndarray]:
    """What is said of a sample, the headings of its panels, and the panels."""
    errors, turned = motion.errors(), motion.turned()
    means = {row: float(mean_of_known(e[0])) for row, e in in_better_direction(errors).items()}
    panels = [path_panel(turned, network) for network in turned.thetas]
    headings = [
        _text(f"{network}: {means[network]:.2f} px off", panel.shape[1])
        for network, panel in zip(turned.thetas, panels, strict=True)
    ]
    said = f"{motion.sample.key}: moves by {means[IDENTITY]:.2f} px"
    if runs_backward(errors)[0]:
        said += ", predicted backwards"
    return [_text(said), strip(headings), strip(panels)]


def path_panel(motion: SampleMotion, network: str) -> np.ndarray:
    """The middle frame, grey and dimmed, with a margin; over it the true paths of a grid of points
    and those of the network's thetas, each through its place in every frame."""
    sample = motion.sample
    size_hw = sample.blur.shape[:2]
    scale = _scale(size_hw, PANEL_SIDE)
    margin = round(MARGIN * max(size_hw) * scale)
    panel = _below_paths(_scaled(sample.frames[len(sample.frames) // 2], scale), margin)
    points = path_points(size_hw)
    transforms = pixel_transforms(motion.thetas[network], padded_hw(size_hw))
    true = true_paths(sample.meta, points) * scale + margin
    predicted = predicted_paths(transforms, points) * scale + margin
    _draw_paths(panel, true, TRUE_COLOUR, TRUE_WIDTH)
    _draw_paths(panel, predicted, PREDICTED_COLOUR, PREDICTED_WIDTH)
    for point in points * scale + margin:
        _draw_dot(panel, point, MIDDLE_COLOUR, PREDICTED_WIDTH)
    return panel


def path_points(size_hw: tuple[int, int]) -> np.ndarray:
    """(GRID * GRID, 2) x, y in pixels, evenly spread."""
    height, width = size_hw
    steps = (np.arange(GRID) + 0.5) / GRID
    return np.stack(np.meshgrid(steps * width, steps * height), -1).reshape(-1, 2)


def _below_paths(frame: np.ndarray, margin: int) -> np.ndarray:
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    dimmed = np.round(grey * DIMMED).astype(np.uint8)
    return np.pad(dimmed, ((margin, margin), (margin, margin), (0, 0)))


def _draw_paths(panel: np.ndarray, paths: np.ndarray, colour: tuple, width: int) -> None:
    """paths (n, N, 2) in the panel's pixels, NaN left out; a dot at the last frame's place."""
    for path in np.moveaxis(paths, 1, 0):
        known = path[np.isfinite(path).all(-1)]
        places = _fixed_point(panel, known)[:, None]
        cv2.polylines(panel, [places], False, colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
        if np.isfinite(path[-1]).all():
            _draw_dot(panel, path[-1], colour, width + 1)


def _draw_dot(panel: np.ndarray, place: np.ndarray, colour: tuple, radius: int) -> None:
    centre = _fixed_point(panel, place).tolist()
    cv2.circle(panel, centre, radius << SUBPIXEL_BITS, colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _fixed_point(panel: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places with pixel centres at +0.5 -> OpenCV's, whose pixel centres are whole numbers."""
    far = FAR * max(panel.shape[:2])
    return np.round((places.clip(-far, far) - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)


def _legend() -> np.ndarray:
    picture = _text("", LEGEND_WIDTH)
    true, predicted = (TRUE_COLOUR, TRUE_WIDTH), (PREDICTED_COLOUR, PREDICTED_WIDTH)
    for left, name, stroke in ((4, "true path", true), (114, "predicted", predicted)):
        line = np.array([[[left, 11.5]], [[left + 24, 11.5]]])
        _draw_paths(picture, line, *stroke)
        _write(picture, name, left + 34)
    _write(picture, "dot: in the last frame; white: in the middle one", 224)
    return picture


# --- both -----------------------------------------------------------------------------------


def _title(study: MotionStudy) -> str:
    return f"{study.data_set.name}, {study.data_set.split}"


def _scale(size_hw: tuple[int, int], side: int) -> float:
    """A whole number that brings the longer side to `side` or above; below 1 beyond MOST_SIDE."""
    longer = max(size_hw)
    return MOST_SIDE / longer if longer > MOST_SIDE else math.ceil(side / longer)


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(image, (width, height), interpolation=how)


def _cell(image: np.ndarray, cell_hw: tuple[int, int], scale: float) -> np.ndarray:
    """The scaled image at the left upper corner of a white cell."""
    cell = np.full((*cell_hw, 3), WHITE, np.uint8)
    scaled = _scaled(image, scale)
    cell[: scaled.shape[0], : scaled.shape[1]] = scaled
    return cell


def _text(text: str, width: int = 0) -> np.ndarray:
    """A line of text on white, as wide as it needs but no narrower than `width`."""
    left, _, written, _ = cv2.getTextSize((0, 0), text, (2, BASELINE), _font(), TEXT_SIZE)
    picture = np.full((LINE_HEIGHT, max(width, left + written + 2), 3), WHITE, np.uint8)
    _write(picture, text, 2)
    return picture


def _write(picture: np.ndarray, text: str, left: int) -> None:
    cv2.putText(picture, text, (left, BASELINE), INK, _font(), TEXT_SIZE)


def _font() -> cv2.FontFace:
    """The one that comes with OpenCV; it has Greek letters."""
    return cv2.FontFace("sans")
