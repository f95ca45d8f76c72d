"""Image files as people bring them -> pixels: whole, or refused with a reason (spec 5.5).

OpenCV reads a JPEG that is cut short without a word, grey where nothing came, when it reads from a
file; from memory it refuses that, and any other format that is cut short. So files are always
decoded from memory.
"""

from __future__ import annotations

import cv2
import numpy as np

from .schema import JPG_SCAN, jpg_segments

JPG_SIGNATURE = b"\xff\xd8\xff"
JPG_END = b"\xff\xd9"


def decode_file(data: bytes, flags: int) -> np.ndarray:
    """BGR pixels of an image file, turned as its EXIF says; flags: as `cv2.imdecode` has them.

    CMYK is converted without a colour profile; transparency is ignored.
    """
    if data.startswith(JPG_SIGNATURE) and _lacks_its_end(data):
        raise ValueError("it is cut short: a JPEG without its end")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("it cannot be read as an image, or is cut short")
    return image


def _lacks_its_end(jpeg: bytes) -> bool:
    """That no end-of-image marker follows the first scan: those of thumbnails stand before it, and
    what follows the image does not matter. OpenCV takes zeros in the place of the rest for grey."""
    try:
        *_, (marker, at) = jpg_segments(jpeg)
    except IndexError:
        return True
    return marker != JPG_SCAN or jpeg.rfind(JPG_END, at) < 0
