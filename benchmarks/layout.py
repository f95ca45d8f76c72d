"""Pictures beside each other and below a line of text, for the figures in docs/.

Pictures are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

MARGIN, LABEL = 6, 22


def labelled(rgb: np.ndarray, text: str) -> np.ndarray:
    """A line of text above the picture."""
    strip = np.full((LABEL, rgb.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, text, (1, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA)
    return np.vstack([strip, rgb])


def row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Beside each other on white."""
    edged = [
        cv2.copyMakeBorder(p, 0, 0, 0, MARGIN, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        for p in pictures
    ]
    return np.hstack(edged)[:, :-MARGIN]
