"""With what, and on what, the shards of a data set were made: law 1 holds among equals only.

Each job leaves the facts of its machine beside plan.json before it writes there, so that they are
known however many runs, parts and workers it takes; the manifest tells them together.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2

from .files import AnyPath, write_whole
from .schema import encode_json

PACKAGES = ("numpy", "numpy-quaternion", "webdataset", "joblib")
PREFIX = ".made_by_"
UNKNOWN = {"versions": {}, "processor": "unknown"}


def this_machine() -> dict:
    """The facts of the machine that this runs on."""
    return {"versions": package_versions(), "processor": processor_type()}


def processor_type() -> str:
    """The architecture and the instruction sets that arithmetic is chosen by."""
    return f"{platform.machine()} {cv2.getCPUFeaturesLine()}"


def package_versions() -> dict[str, str | None]:
    """Of all that the bytes depend on."""
    others = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version(), "opencv": cv2.__version__, **others}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_digest() -> str:
    """sha256 over this package's own modules."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


# --- beside plan.json --------------------------------------------------------------------------


def leave_facts(folder: AnyPath, machine: dict | None = None) -> None:
    """Says in the folder of a data set that a machine, this one by default, makes shards of it."""
    data = encode_json(machine or this_machine())
    path = folder / f"{PREFIX}{hashlib.sha256(data).hexdigest()[:16]}.json"
    if not path.exists():
        write_whole(path, data)


def are_facts(path: AnyPath) -> bool:
    """Whether this is such a file."""
    return path.name.startswith(PREFIX)


def machines_of(folder: AnyPath) -> list[dict]:
    """The facts that jobs have left there; of a file that is damaged, that they are not known."""
    paths = sorted(path for path in folder.iterdir() if are_facts(path))
    return [_read(path) for path in paths]


def _read(path: AnyPath) -> dict:
    try:
        told = json.loads(path.read_bytes())
        return {"versions": dict(told["versions"]), "processor": str(told["processor"])}
    except (ValueError, KeyError, TypeError):
        return UNKNOWN


def together(machines: Sequence[dict]) -> dict:
    """The facts of all: where they differ, one after the other."""
    names = dict.fromkeys(name for machine in machines for name in machine["versions"])
    versions = {name: _joined(m["versions"].get(name) for m in machines) for name in names}
    return {"versions": versions, "processor": _joined(m["processor"] for m in machines)}


def _joined(values: Iterable[str | None]) -> str | None:
    different = sorted({str(value) for value in values})
    return None if different in ([], ["None"]) else " and ".join(different)
