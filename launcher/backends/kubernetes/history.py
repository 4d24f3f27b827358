"""How jobs ended, kept with the run: their JobSets may be deleted then. One file: a run may have a thousand jobs.

What stands in it is final: a JobSet that has ended never goes on. `retry` takes jobs out of it.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from launcher import locks
from launcher.backends.errors import BackendError
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract import durable, records

PATIENCE = 10.0
"""Seconds to wait for others who write; each takes some milliseconds."""
FORMAT = 2
"""1: states by job name, without a number, in which what failed has UNCOUNTED failures. 2: the same below `jobs`."""
UNCOUNTED = 1 << 30


def recorded(run: RunFolder) -> dict[str, JobState]:
    """What was seen of each job that has ended, by its name.

    Raises:
        FormatError: a newer version wrote it, or it is damaged.
    """
    with records.intact(_file(run)):
        try:
            values = records.read_object(_file(run))
        except FileNotFoundError:
            return {}
        if isinstance(values.get("format"), dict) or "format" not in values:  # a job may have that name
            return {name: _counted(JobState.from_json(state)) for name, state in values.items()}
        records.check_format(values, FORMAT, _file(run))
        jobs: dict[str, dict[str, Any]] = values["jobs"]
        return {name: JobState.from_json(state) for name, state in jobs.items()}


def _counted(state: JobState) -> JobState:
    """A state of format 1: how often the job failed was not recorded, but once it did."""
    return replace(state, failures=1) if state.failures == UNCOUNTED else state


def record(run: RunFolder, states: Mapping[str, JobState], forgotten: Collection[str] = ()) -> None:
    """Add how jobs ended; of those `forgotten` only keep that they are done."""
    lock = locks.acquire(run.path / "ended.lock", PATIENCE)
    if lock is None:
        raise BackendError(f"{run.path / 'ended.lock'} is held by another process; try again")
    try:
        before = recorded(run)
        kept = {name: state for name, state in before.items() if name not in forgotten or state.status is Status.DONE}
        if (now := kept | dict(states)) != before:
            jobs = {name: asdict(state) for name, state in now.items()}
            durable.write_json(_file(run), records.numbered({"jobs": jobs}, FORMAT))
    finally:
        os.close(lock)


def _file(run: RunFolder) -> Path:
    return run.path / "ended.json"
