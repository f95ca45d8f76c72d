"""What is written beside the shards: the plan at the start, the manifest at the end (spec 2.3).

`plan.json` says what is being made, so that a resume with anything else is refused by name (law 4);
a split's `manifest.json` says what was made, and is written last.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from .card import CARD_NAME, write_card
from .files import AnyPath, is_temporary, write_whole
from .machines import are_facts, together
from .objects import ObjectPath
from .options import left_out
from .packing import SPLITS
from .plan import DataSetPlan
from .schema import SCHEMA_VERSION, ShardIndex, encode_index, encode_json
from .shards import Failure, ShardName, merge_statistic
from .sources import PLAN_NAME

MANIFEST_NAME = "manifest.json"
DIGESTS_NAME = ".digests.json"
TOOL_VERSION = version("blursynth-blurvid")


def prepare_folder(plan: DataSetPlan, *, overwrite: bool) -> None:
    """Writes down what is to be made; refuses a folder in which something else was (law 4)."""
    described = _described(plan)
    path = plan.folder / PLAN_NAME
    if overwrite and plan.folder.exists():
        refuse_foreign(plan.folder)
        for split in SPLITS:
            _remove_all(plan.folder / split)
        for facts in [one for one in plan.folder.iterdir() if are_facts(one)]:
            facts.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    if not path.exists():
        refuse_foreign(plan.folder)
        has_shards = any(plan.folder.glob("*/*.tar"))
        if has_shards and not path.exists():  # asked again: another part may have begun meanwhile
            raise ValueError(
                f"expected an empty folder {plan.folder}, found shards without a {PLAN_NAME}; "
                "choose another --name or --out, or start anew with --overwrite"
            )
        write_whole(path, encode_json(described))
    _refuse_difference(plan.folder, _read_plan(path), described)


def _remove_all(folder: AnyPath) -> None:
    if isinstance(folder, ObjectPath):
        folder.remove_all()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_foreign(folder: AnyPath, *, instead: str = "--name or --out") -> None:
    """That `folder` holds nothing but what this program writes. instead: what to choose anew."""
    known = {*SPLITS, PLAN_NAME, DIGESTS_NAME}
    files = list(folder.iterdir()) if folder.exists() else []
    ours = (p for p in files if p.name in known or is_temporary(p) or are_facts(p))
    other = sorted({p.name for p in files} - {p.name for p in ours})
    if other:
        raise ValueError(
            f"expected a folder for a data set at {folder}, found other files in it "
            f"({', '.join(other[:3])}); choose another {instead}"
        )


def _described(plan: DataSetPlan) -> dict:
    """All that shapes the data, as it stands in plan.json."""
    return {
        "schema": SCHEMA_VERSION,
        "kind": plan.kind,
        "options": json.loads(encode_json(plan.options)),
        "sources": [[s.name, s.size_bytes, s.sha256] for s in plan.sources],
        "fingerprint": plan.fingerprint,
    }


def _read_plan(path: AnyPath) -> dict:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; start anew with --overwrite") from error


def _refuse_difference(folder: AnyPath, before: dict, now: dict) -> None:
    if before.get("fingerprint") == now["fingerprint"]:
        return
    differences = [
        f"{name} was {before.get(name)!r} and is {now[name]!r}"
        for name in ("schema", "kind")
        if before.get(name) != now[name]
    ]
    try:
        differences += _option_differences(before.get("options", {}), now["options"])
        differences += _source_differences(before.get("sources", []), now["sources"])
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / PLAN_NAME} is damaged; start anew with --overwrite"
        ) from error
    if not differences:
        raise ValueError(f"{folder / PLAN_NAME} is damaged; start anew with --overwrite")
    raise ValueError(
        f"expected to continue the data set in {folder}, found that {'; '.join(differences)}: "
        "go back to the former, choose another --name, or start anew with --overwrite"
    )


def _option_differences(before: dict, now: dict, prefix: str = "") -> list[str]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _option_differences(old, new, f"{name}.")
        elif old != new:
            found.append(f"option {prefix}{name} was {old!r} and is {new!r}")
    return found


def _source_differences(before: list, now: list) -> list[str]:
    old, new = ({name: rest for name, *rest in sources} for sources in (before, now))
    kinds = {
        "new": sorted(new.keys() - old.keys()),
        "gone": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name] != old[name]),
    }
    return [
        f"{len(names)} source{'s are' if len(names) > 1 else ' is'} {kind} ({names[0]}"
        f"{', ...' if len(names) > 1 else ''})"
        for kind, names in kinds.items()
        if names
    ]


# --- manifests -------------------------------------------------------------------------------


def manifest_path(plan: DataSetPlan, split: str) -> AnyPath:
    """Where the manifest of a split stands."""
    return plan.folder / split / MANIFEST_NAME


def splits_of(plan: DataSetPlan) -> list[str]:
    """The splits that have shards."""
    return [split for split in SPLITS if any(s.name.split == split for s in plan.shards)]


def write_manifests(
    plan: DataSetPlan,
    done: Mapping[ShardName, ShardIndex],
    *,
    failures: Sequence[Failure],
    facts: dict,
    card: Mapping[str, str],
) -> None:
    """One for each split, after its card. facts: `run_facts`, which are not part of what is
    fingerprinted. card: command and licence, as the card has them.

    A split that is told already as it is keeps its card, which may have been edited.
    """
    for split in splits_of(plan):
        indexes = [done[shard.name] for shard in plan.shards if shard.name.split == split]
        told = _told(plan, split, indexes, failures)
        path = manifest_path(plan, split)
        if not (path.exists() and (path.parent / CARD_NAME).exists() and _tells(path, told)):
            write_card(path.parent, indexes, told, **card)
        write_whole(path, encode_manifest({**told, "run": facts}))


def _told(
    plan: DataSetPlan, split: str, indexes: Sequence[ShardIndex], failures: Sequence[Failure]
) -> dict:
    """A manifest but for what may differ between two runs."""
    statistics: dict = {}
    for index in indexes:
        for quantity, value in index.statistics.items():
            merge_statistic(statistics, quantity, value)
    listed = [listed_shard(index) for index in indexes]
    return {
        **_described(plan),
        "tool_version": TOOL_VERSION,
        "data_set": plan.options["name"],
        "options_left_out": left_out(plan.kind, plan.options),
        "split": split,
        "shards": listed,
        "totals": {name: sum(s[name] for s in listed) for name in ("samples", "bytes")},
        "statistics": statistics,
        "failures": [[f.source, f.reason] for f in failures],
        "notes": list(plan.notes),
    }


def _tells(path: AnyPath, told: dict) -> bool:
    """Whether a manifest says this."""
    try:
        found = json.loads(path.read_bytes())
        return encode_json({name: found[name] for name in told}) == encode_json(told)
    except (ValueError, KeyError, TypeError):
        return False


def encode_manifest(manifest: dict) -> bytes:
    """The JSON text, with the sha256 of everything else in it."""
    return encode_json({**manifest, "sha256": hashlib.sha256(encode_json(manifest)).hexdigest()})


def listed_shard(index: ShardIndex) -> dict:
    """What the manifest says of a shard; ValueError where its index holds numbers that are none."""
    return {
        "tar": index.tar,
        "samples": len(index.samples),
        "bytes": index.tar_bytes,
        "tar_sha256": index.tar_sha256,
        "pixels_sha256": index.pixels_sha256,
        "index_sha256": hashlib.sha256(encode_index(index)).hexdigest(),
    }


def run_facts(made: int, seconds: float, machines: Sequence[dict]) -> dict:
    """What may differ between two runs that make the same bytes. machines: those that made them."""
    facts = together(machines)
    return {
        "versions": facts["versions"],
        "machine": {"processor": facts["processor"], "system": platform.platform()},
        "seconds": round(seconds, 3),
        "samples_per_second": round(made / seconds, 3),
    }
