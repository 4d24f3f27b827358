"""What may go of a run's jobs, and of the folder of runs. Nothing is changed here."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from launcher.cleaning.deleting import HIDDEN, real, size
from launcher.cleaning.needs import Needs
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import STOPPED, JobView
from launcher.snapshot.store import LEFT_OVER, stores
from locat.contract import clock
from locat.contract.checkpoint_folder import MANIFEST, PINNED, best_in, complete
from locat.contract.fence import UNFINISHED

KEEP = ("best", "last", "none")
"""What stays of a done job's checkpoints: the best (the last one, where none was evaluated), the last one, or none."""
CHECKPOINT, LEAVING, CODE = "checkpoint", "leaving", "code"
"""Kinds of things."""
_WRITTEN = re.compile(r"\..+\.([0-9a-f]{8}|[0-9a-f]{16})|(progress|usage)\.tmp")
"""Names of files that were being written, by a process that was killed."""
_COPY = re.compile("[0-9a-f]{64}")
"""Name of a copy of code: its digest."""
_OF_ATTEMPT = re.compile(rf"\.attempt-(\d+){re.escape(UNFINISHED)}")


class Thing(NamedTuple):
    """A file or folder that may go."""

    kind: str
    path: Path
    bytes: int
    """That are free then."""
    run: str = ""
    job: str = ""


class Kept(NamedTuple):
    """A checkpoint, or all of a job's, that would go but for a reason."""

    run: str
    job: str
    path: Path
    why: str


@dataclass(frozen=True)
class Judge:
    """Which checkpoint of a job is the best, by its config as the plan has it."""

    best: str | None
    best_is: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Judge":
        best = settings.get("best")
        return cls(best if isinstance(best, str) else None, str(settings.get("best_is", "largest")))


def in_job(
    run: RunFolder, view: JobView, needs: Needs, keep: str | None = None, older: float = 0.0
) -> tuple[list[Thing], list[Kept]]:
    """What may go of one job, and what stays though it could.

    Args:
        keep: one of KEEP; None: as the job's config says, or else the first of them.
        older: seconds that it must have ended before.
    """
    job, ended = run.job(view.name), view.state.ended
    is_done = view.status is Status.DONE
    for path in (job.path, job.checkpoints):
        if path.resolve() != path:
            return [], [Kept(run.name, job.name, path, "is a link, which is not followed")]
    kept = [] if is_done or not complete(job.checkpoints) else [_whole(run, view)]
    if not is_done and view.status not in STOPPED:
        return [], kept
    if older and (ended is None or clock.since(ended) < older):
        return [], kept
    going = [(LEAVING, path) for path in _leavings(run, view, needs)]
    settings = view.job.checkpoints
    if is_done and settings:
        judge = Judge.of(settings)
        needed = needs.in_job(run.name, job.name, job.checkpoints, judge)
        wanted = keep or settings.get("after")
        for path in _spare(job.checkpoints, judge, wanted if wanted in KEEP else KEEP[0]):
            if path in needed:
                kept.append(Kept(run.name, job.name, path, f"{needed[path]} needs it"))
            else:
                going.append((CHECKPOINT, path))
    return [Thing(kind, path, size(path), run.name, job.name) for kind, path in going], kept


def lost(run: RunFolder, view: JobView, needs: Needs) -> list[Path]:
    """Hidden checkpoints of a done job that are whole, where somebody may need one of the job's: by the kill of a
    process that was about to ask."""
    if view.status is not Status.DONE or not (needs.checkpoints.get((run.name, view.name)) or needs.unknown):
        return []
    hidden = _hidden(run.job(view.name).checkpoints)
    return [path for path in hidden if (path / MANIFEST).exists() and not real(path).exists()]


def lost_code(runs: Path, needs: Needs) -> list[Path]:
    """Hidden copies of code that a run names, in the same way."""
    hidden = [path for store in stores(runs) for path in _own(store.glob(f".*{HIDDEN}"))]
    return [path for path in hidden if real(path).name in needs.code]


def in_folder(runs: Path, needs: Needs, older: float) -> list[Thing]:
    """What may go of a folder of runs itself: copies of code that no run names, and runs that were never complete."""
    age = max(older, LEFT_OVER)  # a run that is being submitted has its code before it has its name
    kept = stores(runs)
    halves = [path for folder in (runs, *kept) for path in _own(folder.glob(".new-*")) if is_old(path, age)]
    copies = [
        path
        for store in kept
        for path in _own(store.iterdir())
        if _COPY.fullmatch(path.name) and path.name not in needs.code and is_old(path, age)
    ]
    hidden = [path for store in kept for path in _own(store.glob(f".*{HIDDEN}"))]
    copies += [path for path in hidden if real(path).name not in needs.code or real(path).exists()]
    return [
        *(Thing(CODE, path, size(path)) for path in copies),
        *(Thing(LEAVING, path, size(path)) for path in halves),
    ]


def _spare(folder: Path, judge: Judge, keep: str) -> list[Path]:
    """Checkpoints of a done job beyond those that stay, and those that were set aside."""
    there = complete(folder)
    last = there[-1:]
    best = best_in(folder, judge)
    stay = {"best": [best] if best else last, "last": last, "none": []}[keep]
    found = [*(path for path in there if path not in stay), *folder.glob("damaged-step-*")]
    return [path for path in found if _is_folder(path)]


def _leavings(run: RunFolder, view: JobView, needs: Needs) -> Iterator[Path]:
    """What attempts left that were killed, and what a done job has no use for."""
    job = run.job(view.name)
    if view.status is Status.DONE and _is_folder(job.path / PINNED):
        yield job.path / PINNED
    yield from _hidden(job.path)
    yield from set(_hidden(job.checkpoints)).difference(lost(run, view, needs))
    for path in job.checkpoints.glob(f".step-*{UNFINISHED}"):
        attempt = _OF_ATTEMPT.search(path.name)
        if int(attempt[1]) <= view.state.attempt if attempt else is_old(path, LEFT_OVER):
            yield path
    for folder in (job.path, *job.attempts.glob("[0-9]*")):
        for path in _own(folder.iterdir()) if _is_folder(folder) else ():
            if _WRITTEN.fullmatch(path.name) and path.is_file() and is_old(path, LEFT_OVER):
                yield path


def _whole(run: RunFolder, view: JobView) -> Kept:
    """All checkpoints of a job that is not done."""
    why = f"{view.name} is {view.status}" + (f": {view.reason}" if view.reason else "")
    return Kept(run.name, view.name, run.job(view.name).checkpoints, why)


def _hidden(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f".*{HIDDEN}") if _is_folder(path)]


def _own(paths: Iterable[Path]) -> list[Path]:
    """Those that are this user's, and no links."""
    found = []
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue
        if status.st_uid == os.geteuid() and not stat.S_ISLNK(status.st_mode):
            found.append(path)
    return found


def is_old(path: Path, age: float) -> bool:
    """Whether a file or folder itself was last changed longer ago than so many seconds."""
    try:
        return clock.since(path.lstat().st_mtime) > age
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    """Whether it is a folder itself: what a link leads to is somebody's elsewhere."""
    return path.is_dir() and not path.is_symlink()
