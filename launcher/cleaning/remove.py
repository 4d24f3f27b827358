"""Removes what was found, so that a kill at any instruction leaves every run whole.

A folder first loses its name, and only then what it holds; what has lost its name is found by the next one who cleans.
Between the two it is asked once more who needs what: a run that was submitted meanwhile finds what it names.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from launcher import locks
from launcher.cleaning import deleting, find
from launcher.cleaning.find import CHECKPOINT, CODE, Kept, Thing
from launcher.cleaning.needs import Needs
from launcher.runs.find import list_runs
from launcher.snapshot.store import LEFT_OVER
from locat.contract.errors import UserError

PATIENCE = 60.0
"""Seconds to wait for another one who cleans."""


@dataclass
class Cleaned:
    """What became of what could go."""

    things: list[Thing] = field(default_factory=list)
    """That are gone, or that would go where nothing is to be changed."""
    kept: list[Kept] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left alone altogether, and why."""
    faults: list[str] = field(default_factory=list)
    """What could not be deleted, and why."""


@contextmanager
def alone(runs: Path) -> Iterator[None]:
    """While nobody else of this user cleans a folder of runs. Two at once might each keep what the other one deletes,
    and what one hides the other would take for the leavings of a kill.

    Raises:
        UserError: somebody does for longer than `PATIENCE`, or that cannot be told.
    """
    try:
        lock = locks.acquire(runs / f".clean-{os.getuid()}.lock", PATIENCE)
    except OSError as error:
        raise UserError(f"{runs}: nothing can be deleted here: {error.strerror}") from error
    if lock is None:
        raise UserError(f"{runs}: another `launcher clean` is at work; wait for its end")
    try:
        yield
    finally:
        os.close(lock)


def remove(runs: Path, things: Iterable[Thing], needs: Needs, result: Cleaned, tell: Callable[[Thing], None]) -> None:
    """Delete what was found in a folder of runs when they needed what `needs` says; `tell` is given each thing."""
    hidden = _hide(things, result)
    late = Needs(runs=set(needs.runs))
    late.read(list_runs(runs))
    _erase(hidden, late, result, tell)


def _hide(things: Iterable[Thing], result: Cleaned) -> list[tuple[Thing, Path]]:
    """Take their names from those that somebody may look for; each thing and where it is then."""
    hidden = []
    for thing in things:
        try:
            hidden.append((thing, deleting.hide(thing.path) if _has_name(thing.path) else thing.path))
        except FileNotFoundError:
            continue  # it was deleted by hand
        except OSError as error:
            result.faults.append(fault(thing.path, error))
    return hidden


def _erase(hidden: Iterable[tuple[Thing, Path]], late: Needs, result: Cleaned, tell: Callable[[Thing], None]) -> None:
    """Delete what was hidden, but for what is needed by runs that came `late`: that gets its name back."""
    for thing, path in hidden:
        try:
            why = _why_needed(thing, path, late) if path != thing.path else ""
            if why and deleting.show(path):
                result.kept.append(Kept(thing.run, thing.job, thing.path, why))
                continue
            deleting.erase(path)
        except OSError as error:
            result.faults.append(fault(path, error))
            continue
        result.things.append(thing)
        tell(thing)


def fault(path: Path, error: Exception) -> str:
    """What is to be said of something that could not be looked at, or deleted."""
    if isinstance(error, OSError):
        return f"{error.filename or path}: {error.strerror or error}"
    return str(error)


def _has_name(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _why_needed(thing: Thing, hidden: Path, late: Needs) -> str:
    """Why a hidden thing must not go after all; empty if it may."""
    if thing.kind == CODE and (thing.path.name in late.code or not find.is_old(hidden, LEFT_OVER)):
        return "a run is being submitted with it"
    wanted = late.checkpoints.get((thing.run, thing.job)) if thing.kind == CHECKPOINT else None
    if wanted:
        return f"{next(iter(wanted.values()))} needs it"
    return late.unknown[0] if late.unknown and thing.kind in (CHECKPOINT, CODE) else ""
