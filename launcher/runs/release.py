"""Giving jobs that ended badly a fresh start."""

import os
from collections.abc import Collection

from launcher import locks
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.runs.status import RunView
from locat.contract import durable

RETRIED = frozenset({Status.FAILED, Status.INVALID, Status.CANCELLED, Status.LOST})
"""Blocked jobs need nothing of their own: they go on when what blocks them does."""


def release(run: RunFolder, view: RunView, names: Collection[str]) -> list[str]:
    """Queue those of the jobs that ended badly, with their full retries; returns their names."""
    ended = [job for job in view.having(RETRIED) if job.name in names]
    _uncancel(run, view, names)
    released = []
    for job in ended:
        lock = locks.acquire(run.job_lock(job.name))
        if lock is None:
            continue  # somebody runs it since we looked
        now = run.state(job.name)
        # Else somebody ran it since we looked, or another machine, whose lock is not seen from here, came to its end.
        if now.attempt <= job.state.attempt and now.status is not Status.DONE:
            JobState(attempt=job.state.attempt).write(run.job(job.name).state)
            released.append(job.name)
        os.close(lock)
    return released


def _uncancel(run: RunFolder, view: RunView, names: Collection[str]) -> None:
    """Take the markers off these jobs; where the whole run was cancelled, the others keep one each."""
    if run.cancelled.exists():
        for job in view.jobs:
            if job.name not in names:
                durable.write_text(run.job_cancelled(job.name), "")
        run.cancelled.unlink(missing_ok=True)
    for name in names:
        run.job_cancelled(name).unlink(missing_ok=True)
