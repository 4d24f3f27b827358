"""What a job's checkpoints are called and say of themselves, for who imports no torch.

step-<n>    complete once it holds manifest.json, which names every file with its digest
"""

import math
import os
import shutil
from pathlib import Path
from typing import Any, Protocol

from locat.contract import records
from locat.contract.errors import WeightsError

PINNED = "branch"
"""In the folder of a job that goes on from another run's checkpoint: that one, until the job has taken it up."""
PREFIX = "step-"
MANIFEST = "manifest.json"
FORMAT = 2
"""Of manifest.json, the newest; 1 where the job's epochs have the order that was once the only one."""
UNREADABLE = (OSError, ValueError, TypeError, KeyError)
"""What a damaged manifest raises."""


class Judged(Protocol):
    """Which checkpoint of a job is the best: `checkpoints` of its config."""

    @property
    def best(self) -> str | None: ...

    @property
    def best_is(self) -> str: ...


def read_manifest(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Raises:
        FormatError: a newer version wrote it.
        one of UNREADABLE: it has no manifest, or one that says something else.
    """
    values = records.read_object(checkpoint / MANIFEST)
    records.check_format(values, FORMAT, checkpoint / MANIFEST)
    return values


def checkpoints_in(folder: Path) -> list[Path]:
    """What is called a checkpoint in a folder, oldest first."""
    found = (path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal())
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint is of, by its name."""
    return int(checkpoint.name.removeprefix(PREFIX))


def at_step(folder: Path, step: int) -> Path:
    """The checkpoint of a step in a folder, there or not."""
    return folder / f"{PREFIX}{step:07d}"


def complete(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return [path for path in checkpoints_in(folder) if (path / MANIFEST).exists()]


def read_metrics(checkpoint: Path) -> dict[str, float]:
    """What an evaluation found of a checkpoint; nothing where its manifest cannot be read."""
    try:
        return dict(read_manifest(checkpoint)["metrics"])
    except UNREADABLE:
        return {}


def best_in(folder: Path, settings: Judged) -> Path | None:
    """The complete checkpoint with the best metric, the first of equals; None if none was evaluated."""
    if settings.best is None:
        return None
    name, sign = settings.best, 1 if settings.best_is == "largest" else -1
    found = {path: read_metrics(path).get(name, math.nan) for path in complete(folder)}
    scores = {path: sign * value for path, value in found.items() if math.isfinite(value)}
    return max(scores, key=lambda path: scores[path], default=None)


def link(checkpoint: Path, target: Path) -> None:
    """Have a checkpoint a second time, in the fresh folder `target`, whatever becomes of the first one.

    A checkpoint's files are never written again, so hard links do; where there can be none the files are copied.

    Raises:
        FileNotFoundError: it is being deleted.
        WeightsError: its manifest names no files, or such as lie elsewhere.
        FormatError: a newer version wrote it.
    """
    try:
        names = [str(name) for name in read_manifest(checkpoint)["files"]]
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
            raise ValueError("a file elsewhere")
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{checkpoint / MANIFEST} cannot be read ({error}); name another checkpoint") from error
    for name in [*names, MANIFEST]:
        source, there = (checkpoint / name).resolve(), target / name
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, there)
        except FileNotFoundError:
            raise
        except OSError:  # another file system, one without links, or another user's files
            shutil.copyfile(source, there)
