"""How jobs ended, kept with the run: their JobSets may be deleted then. One file: a run may have a thousand jobs."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from launcher import locks
from launcher.runs.find import RunError
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract import durable

PATIENCE = 10.0
"""Seconds to wait for others who write; each takes some milliseconds."""


def recorded(run: RunFolder) -> dict[str, JobState]:
    """What was seen of each job that has ended, by its name."""
    try:
        states = json.loads(_file(run).read_text())
    except FileNotFoundError:
        return {}
    return {name: JobState.from_json(values) for name, values in states.items()}


def record(run: RunFolder, states: Mapping[str, JobState], forgotten: Collection[str] = ()) -> None:
    """Add how jobs ended; of those `forgotten` only keep that they are done."""
    lock = locks.acquire(run.path / "ended.lock", PATIENCE)
    if lock is None:
        raise RunError(f"{run.path / 'ended.lock'} is held by another process; try again")
    try:
        before = recorded(run)
        kept = {name: state for name, state in before.items() if name not in forgotten or state.status is Status.DONE}
        if (now := kept | dict(states)) != before:
            durable.write_json(_file(run), {name: asdict(state) for name, state in now.items()})
    finally:
        os.close(lock)


def _file(run: RunFolder) -> Path:
    return run.path / "ended.json"
