"""A checkpoint's folder: written under a temporary name, sealed by a manifest of digests, then renamed.

step-<n>                        complete: manifest.json names every file with its digest
.step-<n>.attempt-<a>.partial   being written by that attempt, or left by a kill
.step-<n>.deleted               being deleted, or left by a kill
damaged-step-<n>                set aside: its digests did not hold
"""

import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from locat.contract import durable, records
from locat.contract.checkpoint_folder import FORMAT, MANIFEST, UNREADABLE, read_manifest
from locat.contract.fence import UNFINISHED, Fence
from locat.data.order import OrderKind
from locat.data.position import Position

TASK_STATE = "task.pt"


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says of itself."""

    position: Position
    metrics: dict[str, float]
    """What an evaluation found at this position; empty without one."""
    world_size: int
    """Ranks that wrote it."""
    config: dict[str, Any]
    files: dict[str, str]
    """Path below the folder -> sha256."""

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a checkpoint.

        Raises:
            FormatError: a newer version wrote it.
            one of UNREADABLE: it has none, or one that says something else.
        """
        values = read_manifest(folder)
        position = records.built(Position, values["position"])
        position = replace(position, order=OrderKind(position.order))
        return records.built(cls, {**values, "position": position})

    def write(self, folder: Path) -> None:
        """Put it into a checkpoint, in place of one that is there."""
        # a version that knows no other order must refuse it
        number = 1 if self.position.order is OrderKind.SORTED else FORMAT
        durable.write_json(folder / MANIFEST, records.numbered(asdict(self), number))


def random_file(rank: int) -> str:
    """Name of the file with the state of a rank's generators."""
    return f"random-{rank}.pt"


def absent(files: Collection[str], world_size: int) -> list[str]:
    """What a checkpoint of so many ranks lacks, of which `files` are there."""
    expected = [TASK_STATE, *map(random_file, range(world_size))]
    strategy = [] if any(name.startswith("strategy/") for name in files) else ["strategy"]
    return [name for name in expected if name not in files] + strategy


def seal(temporary: Path, final: Path, position: Position, world_size: int, fence: Fence, **what: Any) -> None:
    """Make what was written to `temporary` the complete checkpoint `final`: all of it on the disk, then renamed.

    Raises:
        FileNotFoundError: some of it has been deleted meanwhile.
        Superseded: the attempt is no longer the newest.
    """
    files = {}
    for path in sorted(temporary.rglob("*")):
        if path.is_file():
            files[str(path.relative_to(temporary))] = durable.sha256(path)
    if lacking := absent(files, world_size):
        raise FileNotFoundError(f"{lacking[0]} is missing")
    durable.sync_tree(temporary)
    Manifest(position, world_size=world_size, files=files, **what).write(temporary)
    fence.check()
    temporary.rename(final)
    durable.sync_folder(final.parent)


def record_metrics(checkpoint: Path, metrics: dict[str, float]) -> None:
    """Say in a complete checkpoint what an evaluation has found of it since."""
    replace(Manifest.read(checkpoint), metrics=metrics).write(checkpoint)


def find_fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files, None if every digest holds."""
    try:
        manifest = Manifest.read(folder)
        lacking = absent(manifest.files, manifest.world_size)
    except UNREADABLE as error:
        return f"its manifest cannot be read ({error})"
    if lacking:
        return f"{lacking[0]} is missing"
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if durable.sha256(path) != digest:
            return f"{name} has been altered"
    return None


def set_aside(checkpoint: Path) -> Path:
    """Give a damaged checkpoint a name that says so, and that no other has."""
    name = f"damaged-{checkpoint.name}"
    names = chain([name], (f"{name}.{number}" for number in count(2)))
    aside = next(path for path in map(checkpoint.with_name, names) if not path.exists())
    checkpoint.rename(aside)
    return aside


def delete(checkpoint: Path) -> None:
    """Delete a checkpoint; killed in the middle of it, nothing is left that looks like one."""
    doomed = checkpoint.with_name(f".{checkpoint.name}.deleted")
    checkpoint.rename(doomed)
    durable.sync_folder(doomed.parent)
    shutil.rmtree(doomed)


def sweep(folder: Path) -> None:
    """Delete what kills have left of checkpoints that were being written or deleted, and what an attempt that this one
    has superseded is writing."""
    for left in [*folder.glob(f".step-*{UNFINISHED}"), *folder.glob(".step-*.deleted")]:
        discard(left)


def discard(unfinished: Path) -> None:
    """Delete what is no checkpoint yet, or none any more."""
    shutil.rmtree(unfinished, ignore_errors=True)
