"""What can be photographed: panoramas and video scenes below a folder, sorted, with digests.

A source's name is its POSIX path relative to `--src`, in Unicode NFC: the root of its identity.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from .files import AnyPath, sha256_of, write_whole
from .imagefile import decode_file
from .schema import encode_json
from .shards import Failure

PANORAMA_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".hdr")
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
HASHING_THREADS = 4
PLAN_NAME, SHEET_NAME = "plan.json", "contact-sheet.png"


@dataclass(frozen=True)
class Panorama:
    """An equirectangular image file that has not been opened yet."""

    name: str
    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Scene:
    """High-speed video: numbered frame files, or one video file whose frames count from 0.

    numbers: one for each frame, ascending; a step of more than one is a gap in the recording.
    files: as many paths, or none for a video file.
    """

    name: str
    path: Path
    numbers: tuple[int, ...]
    files: tuple[Path, ...]
    size_hw: tuple[int, int]
    size_bytes: int
    sha256: str


# --- finding -------------------------------------------------------------------------------


def find_panoramas(src: Path, digests: Digests) -> tuple[list[Panorama], list[Failure]]:
    """Every panorama below `src`, sorted by name; what is no file or cannot be read is a failure."""
    src = Path(os.path.abspath(_existing_folder(src, "panoramas")))
    files, failures = [], []
    for path in walk(src, failures):
        name = source_name(path, src)
        if path.suffix.lower() == ".exr":
            failures.append(Failure(name, "OpenEXR is not read; convert it to Radiance .hdr"))
        elif path.suffix.lower() in PANORAMA_SUFFIXES:
            reason = _misnamed(path, src) or _unreadable(path)
            files.append((name, path)) if reason is None else failures.append(
                Failure(name, reason)
            )
    if not files:
        raise ValueError(
            f"expected panoramas ({' '.join(PANORAMA_SUFFIXES)}, twice as wide as high) below "
            f"{src}, found none{_first_failure(failures)}; name their folder with --src"
        )
    _refuse_equal_names(name for name, _ in files)
    found = digests.of_all([path for _, path in files])
    return [Panorama(name, path, *found[path]) for name, path in sorted(files)], failures


def find_scenes(src: Path, digests: Digests) -> tuple[list[Scene], list[Failure]]:
    """Every folder of frames and every video file below `src` (or `src` itself), sorted by name."""
    if not src.exists():
        raise ValueError(f"expected high-speed video in {src}, found no such folder or file; "
                         "name it with --src")
    src = Path(os.path.abspath(src))
    scenes, failures = [], []
    for path, files in sorted(_scene_places(src, failures)):
        root = src if path != src else src.parent
        name = source_name(path, root)
        _refuse_sharp(path, name)
        try:
            _refuse_misnamed(path, files, root)
            scenes.append(_open_scene(name, path, files, digests))
            failures += _frames_that_do_not_come(scenes[-1], digests)
        except (ValueError, OSError) as error:
            failures.append(Failure(name, _reason(error)))
    if not scenes:
        raise ValueError(
            f"expected folders of numbered frames ({' '.join(FRAME_SUFFIXES)}) or video files "
            f"({' '.join(VIDEO_SUFFIXES)}) below {src}, found none{_first_failure(failures)}; "
            "name their folder with --src"
        )
    _refuse_equal_names(scene.name for scene in scenes)
    return sorted(scenes, key=lambda scene: scene.name), failures


def source_name(path: Path, src: Path) -> str:
    """The POSIX path relative to `src`, in Unicode NFC; a byte that is no UTF-8 as `\\xff`."""
    return unicodedata.normalize("NFC", _shown(path.relative_to(src)))


def source_digest(name: str) -> str:
    """Sixteen hex digits of the sha256 of a source's name."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _existing_folder(src: Path, of_what: str) -> Path:
    if not src.is_dir():
        found = "a file" if src.exists() else "no such folder"
        raise ValueError(f"expected a folder of {of_what} at {src}, found {found}; "
                         "name it with --src")
    return src


def walk(src: Path, failures: list[Failure]) -> Iterator[Path]:
    """Files and dangling links below `src`; links to folders are followed, each folder once;
    not the contact sheets of data sets that were made there.

    Folders that cannot be opened are added to the failures.
    """
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        failures.append(Failure(source_name(Path(error.filename), src), _reason(error)))

    for root, folders, files in os.walk(src, onerror=unreadable, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(f for f in files if not f.startswith(".")):
            if not _is_made_here(path := Path(root, name)):
                yield path


def _is_made_here(path: Path) -> bool:
    """That this is the picture beside the shards of a data set, which is never a source."""
    return path.name == SHEET_NAME and (path.parent.parent / PLAN_NAME).exists()


def _shown(path: Path) -> str:
    """The path as text that UTF-8 can hold."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def _misnamed(path: Path, src: Path) -> str | None:
    """Why the name of a source cannot stand in any text."""
    relative = path.relative_to(src)
    return None if _shown(relative) == str(relative) else "its name is not UTF-8; rename it"


def _refuse_misnamed(path: Path, frames: tuple[Path, ...], src: Path) -> None:
    """ValueError where a scene's name cannot stand in any text, or OpenCV cannot open its video."""
    if reason := _misnamed(path, src):
        raise ValueError(reason)
    if not frames and _misnamed(path, Path(path.anchor)):  # OpenCV would end the process
        raise ValueError("the path to this video is not UTF-8; rename the folders above it")
    for frame in frames:
        if _misnamed(frame, path):
            name = _shown(frame.relative_to(path))
            raise ValueError(f"the name of its frame {name} is not UTF-8; rename it")


def _unreadable(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return None if file.read(1) else "the file is empty"
    except OSError as error:
        return _reason(error)


def _reason(error: ValueError | OSError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _first_failure(failures: list[Failure]) -> str:
    if not failures:
        return ""
    return f" that can be read (the first: {failures[0].source}: {failures[0].reason})"


def _refuse_equal_names(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"expected one source of each name, found two of the name {name} "
                             "in Unicode NFC; rename one")
        seen.add(name)


# --- video ---------------------------------------------------------------------------------


def _scene_places(
    src: Path, failures: list[Failure]
) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """(video file, no files) and (folder, its frame files)."""
    if src.is_file():
        yield src, ()
        return
    frames: dict[Path, list[Path]] = {}
    for path in walk(src, failures):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            yield path, ()
        elif path.suffix.lower() in FRAME_SUFFIXES:
            frames.setdefault(path.parent, []).append(path)
    for folder, files in frames.items():
        yield folder, tuple(files)


def _refuse_sharp(path: Path, name: str) -> None:
    """GOPRO_Large's `sharp` frames lie as far apart as each blur is long: their mean is no blur; and
    its `blur` frames are no sharp ones."""
    real = path.resolve()
    kinds = [part for part in real.parts if part in GOPRO_LARGE_FOLDERS]
    beside = any((real.parent / kind).is_dir() for kind in GOPRO_LARGE_FOLDERS if kind != real.name)
    if kinds and (beside or any(CLIP.match(part) for part in real.parts)):
        raise ValueError(
            f"expected consecutive frames in {name}, found a `{kinds[-1]}` folder of GOPRO_Large, "
            "whose frames lie a whole exposure apart, so that their mean is no blur; "
            "use GOPRO_Large_all, which holds every frame"
        )


GOPRO_LARGE_FOLDERS = ("sharp", "blur", "blur_gamma")
CLIP = re.compile(r"(GOPR\d{4})_\d+_\d+")


def clip_of(name: str) -> str:
    """The recording that a scene was cut from: GOPRxxxx of GOPRxxxx_yy_zz, else the scene itself."""
    for part in reversed(name.split("/")):
        if match := CLIP.match(part):
            return match[1]
    return name


def _open_scene(name: str, path: Path, files: tuple[Path, ...], digests: Digests) -> Scene:
    if not files:
        size_bytes, sha256 = digests.of_all([path])[path]
        count, _, size_hw = _counts_of(path, digests)
        return Scene(name, path, tuple(range(count)), (), tuple(size_hw), size_bytes, sha256)
    numbers, files = _numbered(files)
    found = digests.of_all(files)
    try:
        first = decode_file(files[0].read_bytes(), cv2.IMREAD_COLOR)
    except ValueError as error:
        raise ValueError(f"its first frame {files[0].name} cannot be used: {error}") from error
    lines = "".join(f"{f.name} {found[f][1]}\n" for f in files)
    size_bytes = sum(found[f][0] for f in files)
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    return Scene(name, path, numbers, files, first.shape[:2], size_bytes, sha256)


def _numbered(files: tuple[Path, ...]) -> tuple[tuple[int, ...], tuple[Path, ...]]:
    """The frame numbers (the last digits of each name) and the files, in ascending order."""
    digits = [re.findall(r"\d+", file.stem) for file in files]
    if not all(digits):
        without = next(f.name for f, d in zip(files, digits, strict=True) if not d)
        raise ValueError(f"expected numbered frames, found {without}, which has no number")
    numbered = sorted((int(d[-1]), file) for d, file in zip(digits, files, strict=True))
    numbers = tuple(number for number, _ in numbered)
    if len(set(numbers)) < len(numbers):
        twice = next(a for a, b in zip(numbered, numbered[1:], strict=False) if a[0] == b[0])
        raise ValueError(f"expected one frame of each number, found two of number {twice[0]}")
    return numbers, tuple(file for _, file in numbered)


def _frames_that_do_not_come(scene: Scene, digests: Digests) -> list[Failure]:
    """A video that is cut short, or whose header promises too much; its windows are made."""
    if scene.files:
        return []
    used, promised, _ = _counts_of(scene.path, digests)
    if used >= promised:
        return []
    reason = f"expected {promised} frames as its header says, found {used + 1}; used are {used}"
    return [Failure(scene.name, reason)]


def _counts_of(path: Path, digests: Digests) -> tuple[int, int, tuple[int, int]]:
    used, promised, size_hw = digests.remember(path, "video", lambda: _count_frames(path))
    return used, promised, tuple(size_hw)


def _count_frames(path: Path) -> tuple[int, int, tuple[int, int]]:
    """Frames to use, frames that the header promises, and their size.

    Where fewer come out than are promised, the last that did may have come out damaged.
    """
    video = cv2.VideoCapture(str(path))
    promised = max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    readable, first = video.read()
    if not readable:
        raise ValueError("it cannot be read as a video")
    count = 1
    while video.grab():
        count += 1
    return count - (count < promised), promised, first.shape[:2]


# --- digests -------------------------------------------------------------------------------


class Digests:
    """sha256 of files, remembered by size and modification time in a file beside the data set."""

    def __init__(self, store: AnyPath) -> None:
        self._store = store
        self._known: dict[str, list] = {}
        if store.exists():
            try:
                self._known = dict(json.loads(store.read_bytes()))
            except (ValueError, TypeError):
                self._known = {}

    def of_all(self, paths: Iterable[Path]) -> Mapping[Path, tuple[int, str]]:
        """Each path's size in bytes and sha256."""
        paths = list(paths)
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            digests = list(pool.map(self._digest, paths))
        return {
            path: (path.stat().st_size, digest)
            for path, digest in zip(paths, digests, strict=True)
        }

    def _digest(self, path: Path) -> str:
        return self.remember(path, "sha256", lambda: sha256_of(path))

    def remember(self, path: Path, what: str, find):
        """What `find()` gave for this state of the file, now or in an earlier run."""
        status = path.stat()
        state = [status.st_size, status.st_mtime_ns]
        place = f"{what}:{_shown(path.absolute())}"
        known = self._known.get(place)
        if not isinstance(known, list) or len(known) != 2 or known[0] != state:
            self._known[place] = known = [state, find()]
        return known[1]

    def save(self) -> None:
        """Keeps what was learnt for the next run."""
        write_whole(self._store, encode_json(self._known))
