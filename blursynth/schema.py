"""The shard contract: what a sample is, how it stands in a tar, what an index says of it.

Encode and decode stand side by side; `shards/README.md` says the same in prose; what metadata may
be is `metadata.py`'s. Images are RGB.
Raises ValueError with what was expected, what was found, and the sample's key.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from tokenize import TokenError
from typing import Any

import cv2
import numpy as np

from .metadata import SCHEMA_VERSION, check_meta, select_frames

FORMATS = ("png", "webp", "jpg", "npy")
LOSSY_FORMATS = ("jpg",)
MAX_MEMBER_BYTES = 1 << 28
MAX_IMAGE_PIXELS = 1 << 26
MAX_META_BYTES = 1 << 20
TAR_BLOCK = 512
INDEX_TEXTS = "data_set split tar tar_sha256 pixels_sha256 fingerprint image_format".split()

META_NAME = "meta.json"
_CV2_PARAMETERS = {
    # Huffman codes of differences to the mean of left and above: the fastest, and as small as
    # deflate's search here. The level comes first, as setting it resets the strategy.
    "png": [
        *(cv2.IMWRITE_PNG_COMPRESSION, 1),
        *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    ],
    "webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
    "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
}
JPG_SCAN = 0xDA
_SIGNATURES = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "webp": (b"RIFF",),
    "jpg": (b"\xff\xd8\xff",),
    "npy": (b"\x93NUMPY",),
}


@dataclass(frozen=True)
class Sample:
    """A blurred image and its sharp frames.

    key: unique, holds no dot. blur: (H, W, 3) uint8 RGB. frames: (m, H, W, 3) uint8 RGB in time
    order. meta: what spec 2.2 lists; `times` and `quat_wxyz` have one entry for each frame.
    """

    key: str
    blur: np.ndarray
    frames: np.ndarray
    meta: dict[str, Any] = field(compare=False)

    def __post_init__(self) -> None:
        check_key(self.key)
        if self.blur.ndim != 3 or self.blur.shape[2] != 3 or self.blur.dtype != np.uint8:
            raise ValueError(
                f"sample {self.key}: expected an (H, W, 3) uint8 blur, "
                f"found {self.blur.shape} {self.blur.dtype}"
            )
        if self.frames.shape[1:] != self.blur.shape or self.frames.dtype != np.uint8:
            raise ValueError(
                f"sample {self.key}: expected uint8 frames of the blur's size {self.blur.shape}, "
                f"found {self.frames.shape} {self.frames.dtype}"
            )
        check_meta(self.key, self.meta, frames=len(self.frames))


def check_key(key: str) -> None:
    """That a key can stand in a member's name and in a sentence."""
    if not key or set(key) & set("./\\") or not key.isprintable():
        raise ValueError(f"expected a key without dots and slashes, found {key!r}")


# --- members -------------------------------------------------------------------------------


def member_names(frames: int, image_format: str) -> list[str]:
    """Member names without the key, in the order of the tar: blur, frames by number, meta."""
    images = ["blur", *(f"frame.{i:03d}" for i in range(frames))]
    return [*(f"{name}.{image_format}" for name in images), META_NAME]


def encode_sample(sample: Sample, image_format: str = "png") -> dict[str, bytes]:
    """Member name (without the key) to bytes, in the order in which they stand in the tar."""
    images = [sample.blur, *sample.frames]
    names = member_names(len(sample.frames), image_format)
    members = {n: encode_image(i, image_format) for n, i in zip(names, images, strict=False)}
    members[META_NAME] = encode_json(sample.meta)
    return members


def decode_sample(key: str, members: Mapping[str, bytes]) -> Sample:
    """The inverse of `encode_sample`."""
    meta = decode_meta(key, members)
    sample = decode_frames(key, members, meta, range(len(meta["times"])))
    image_format = image_format_of(key, members)
    refuse_unknown_members(key, members, member_names(len(sample.frames), image_format))
    return sample


def decode_frames(
    key: str, members: Mapping[str, bytes], meta: Mapping[str, Any], numbers: Sequence[int]
) -> Sample:
    """The sample of decoded metadata with the frames of these numbers alone."""
    image_format = image_format_of(key, members)
    blur, *images = (
        _decode_member(key, members, f"{name}.{image_format}")
        for name in ["blur", *(f"frame.{i:03d}" for i in numbers)]
    )
    if any(image.shape != blur.shape for image in images):
        raise ValueError(f"sample {key}: its frames and its blur differ in size")
    return Sample(key, blur, np.stack(images), select_frames(meta, numbers))


def decode_meta(key: str, members: Mapping[str, bytes]) -> dict[str, Any]:
    """The metadata alone, checked."""
    if META_NAME not in members:
        raise ValueError(f"sample {key}: its member {META_NAME} is missing")
    if (size := len(members[META_NAME])) > MAX_META_BYTES:
        raise ValueError(f"sample {key}: its {META_NAME} has {size} bytes, over {MAX_META_BYTES}")
    try:
        meta = json.loads(members[META_NAME])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"sample {key}: its {META_NAME} is not JSON ({error})") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("times", []), list):
        raise ValueError(f"sample {key}: its {META_NAME} is not an object with a list of times")
    check_meta(key, meta, frames=len(meta.get("times", [])))
    return meta


def check_members(key: str, names: Collection[str]) -> None:
    """That these are the members of one sample: in one format, none missing and none besides."""
    image_format = image_format_of(key, names)
    frames = sum(n.startswith("frame.") and n.endswith(f".{image_format}") for n in names)
    expected = member_names(max(frames, 1), image_format)
    missing = [name for name in expected if name not in names]
    if missing:
        raise ValueError(f"sample {key}: its member {missing[0]} is missing")
    refuse_unknown_members(key, names, expected)


def image_format_of(key: str, names: Collection[str]) -> str:
    """The format of a sample's images, read off the name of its blur."""
    found = [f for f in FORMATS if f"blur.{f}" in names]
    if len(found) != 1:
        raise ValueError(
            f"sample {key}: expected one member blur.({'|'.join(FORMATS)}), "
            f"found {sorted(names)[:9]}"
        )
    return found[0]


def refuse_unknown_members(key: str, names: Collection[str], expected: Sequence[str]) -> None:
    """That the members are those of the contract and no others."""
    extra = sorted(set(names) - set(expected))
    if extra:
        raise ValueError(f"sample {key}: members that the contract does not list: {extra[:9]}")


def _decode_member(key: str, members: Mapping[str, bytes], name: str) -> np.ndarray:
    if name not in members:
        raise ValueError(f"sample {key}: its member {name} is missing")
    try:
        return decode_image(members[name], name.rpartition(".")[2])
    except ValueError as error:
        raise ValueError(f"sample {key}, member {name}: {error}") from error


# --- images and JSON -----------------------------------------------------------------------


def encode_image(rgb: np.ndarray, image_format: str) -> bytes:
    """(H, W, 3) uint8 RGB to the bytes of an image file; lossless but for `jpg`."""
    if image_format == "npy":
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(rgb), allow_pickle=False)
        return buffer.getvalue()
    if image_format not in _CV2_PARAMETERS:
        raise ValueError(f"expected a format among {', '.join(FORMATS)}, found {image_format!r}")
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(f".{image_format}", bgr, _CV2_PARAMETERS[image_format])[1].tobytes()


def decode_image(data: bytes, image_format: str) -> np.ndarray:
    """The inverse of `encode_image`: (H, W, 3) uint8 RGB; no pickle is ever loaded."""
    if len(data) > MAX_MEMBER_BYTES:
        raise ValueError(f"expected at most {MAX_MEMBER_BYTES} bytes, found {len(data)}")
    height, width = checked_size(data, image_format)
    image = _decode_npy(data) if image_format == "npy" else _decode_picture(data, image_format)
    if image is None or image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise ValueError(f"it is damaged or not an 8-bit RGB {image_format}")
    return image


def _decode_npy(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _decode_picture(data: bytes, image_format: str) -> np.ndarray | None:
    if image_format == "png" and not _png_chunks_fit(data):
        return None
    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _png_chunks_fit(data: bytes) -> bool:
    """That no chunk says to be longer than the file, which OpenCV would allocate."""
    at = 8
    while at + 12 <= len(data):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return at == len(data)


def checked_size(data: bytes, image_format: str) -> tuple[int, int]:
    """Height and width as the first bytes of a file state them, if it is such a file and not
    too large."""
    if not data.startswith(_SIGNATURES[image_format]):
        raise ValueError(f"it does not begin as a {image_format} file does")
    height, width = image_size(data, image_format)
    if min(height, width) < 1 or height * width > MAX_IMAGE_PIXELS:
        raise ValueError(f"expected at most {MAX_IMAGE_PIXELS} pixels, found {width}x{height}")
    return height, width


def image_size(data: bytes, image_format: str) -> tuple[int, int]:
    """Height and width as the file's header states them, before any pixel is decoded."""
    try:
        return _SIZE_READERS[image_format](data)
    except _HEADER_ERRORS as error:
        raise ValueError(f"its {image_format} header is damaged") from error


def _png_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _npy_size(data: bytes) -> tuple[int, int]:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("expected version 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"expected an (H, W, 3) uint8 array, found {shape} {dtype}")
    return shape[0], shape[1]


def _jpg_size(data: bytes) -> tuple[int, int]:
    """From the start-of-frame segment (FF C0 ... FF CF without C4, C8 and CC)."""
    for marker, at in jpg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 3 : at + 5], data[at + 5 : at + 7]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
    raise ValueError("no start of frame")


def jpg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker, and where the length that follows it stands, of each segment up to the first scan.

    Raises IndexError where the data end before.
    """
    at, marker = 2, 0
    while data[at] == 0xFF and marker != JPG_SCAN:
        while data[at + 1] == 0xFF:  # markers may be preceded by any number of these
            at += 1
        marker = data[at + 1]
        yield marker, at + 2
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _webp_size(data: bytes) -> tuple[int, int]:
    """From the VP8L header: 14 bits of width - 1, 14 bits of height - 1."""
    if data[8:16] != b"WEBPVP8L" or data[20] != 0x2F:
        raise ValueError("expected a lossless WebP")
    bits = int.from_bytes(data[21:25], "little")
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


_HEADER_ERRORS = (
    *(IndexError, ValueError, EOFError, SyntaxError, TokenError, TypeError),
    *(RecursionError, MemoryError),  # of brackets in brackets, in the header of an npy
)
_SIZE_READERS = {"png": _png_size, "npy": _npy_size, "jpg": _jpg_size, "webp": _webp_size}


def encode_json(value: Any) -> bytes:
    """One spelling for each value, so that equal metadata are equal bytes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode()


# --- the index of a shard ------------------------------------------------------------------


@dataclass(frozen=True)
class IndexedSample:
    """Where a sample lies: member name (without the key) to (offset of its data, size) in bytes."""

    key: str
    members: dict[str, tuple[int, int]]

    @property
    def frame_count(self) -> int:
        return sum(name.startswith("frame.") for name in self.members)


@dataclass(frozen=True)
class ShardIndex:
    """What stands beside a complete tar; a tar without it does not exist for any reader."""

    data_set: str
    split: str
    tar: str
    tar_bytes: int
    tar_sha256: str
    pixels_sha256: str
    fingerprint: str
    image_format: str
    size_hw: tuple[int, int]
    samples: tuple[IndexedSample, ...]
    sources: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    statistics: dict[str, Any]


def encode_index(index: ShardIndex) -> bytes:
    """The JSON text of an index."""
    return encode_json({"schema": SCHEMA_VERSION, **asdict(index)})


def _place(offset: object, size: object) -> tuple[int, int]:
    if _whole(size) > MAX_MEMBER_BYTES:
        raise ValueError(f"a member of {size} bytes")
    return _whole(offset), _whole(size)


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def decode_index(data: bytes, path: str) -> ShardIndex:
    """The inverse of `encode_index`; `path` is named where the text is no index of this schema."""
    try:
        fields = json.loads(data)
        schema = fields.pop("schema")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not the index of a shard") from error
    if schema != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: expected schema {SCHEMA_VERSION}, found {schema!r}; "
            "make the shards anew with this version of blursynth"
        )
    try:
        fields["samples"] = tuple(
            IndexedSample(str(s["key"]), {str(k): _place(*v) for k, v in s["members"].items()})
            for s in fields["samples"]
        )
        fields["failures"] = tuple((str(name), str(reason)) for name, reason in fields["failures"])
        fields["sources"] = tuple(str(name) for name in fields["sources"])
        height, width = fields["size_hw"]
        fields["size_hw"] = (_whole(height), _whole(width))
        fields["tar_bytes"] = _whole(fields["tar_bytes"])
        for name in INDEX_TEXTS:
            if not isinstance(fields[name], str):
                raise TypeError(name)
        return ShardIndex(**fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: not every field of an index is there") from error


def check_index(index: ShardIndex) -> None:
    """That each sample has the members of a sample, all of them inside the tar, and that the
    images' size can be one."""
    height, width = index.size_hw
    if index.samples and not (0 < height * width <= MAX_IMAGE_PIXELS):
        raise ValueError(f"expected images of 1 to {MAX_IMAGE_PIXELS} pixels, found {width}x{height}")
    for sample in index.samples:
        check_key(sample.key)
        check_members(sample.key, sample.members)
        for name, (offset, size) in sample.members.items():
            if offset < TAR_BLOCK or offset + size > index.tar_bytes:
                raise ValueError(
                    f"sample {sample.key}, member {name}: expected it inside the tar's "
                    f"{index.tar_bytes} bytes, found {size} bytes at {offset}"
                )
