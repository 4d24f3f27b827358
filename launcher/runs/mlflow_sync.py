"""Telling MLflow what the jobs of a run could not, in a process of its own: the launcher never imports MLflow."""

import subprocess

from launcher import interpreter
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import RunView, status_from_folder
from locat.contract.job_folder import JobFolder
from locat.contract.tracking import TrackingCursor

KILLED = frozenset({Status.CANCELLED, Status.PREEMPTED})
"""Statuses of jobs that were stopped on purpose; what else died without a word has failed."""


def sync(run: RunFolder, view: RunView) -> int:
    """Send what is left of the jobs that do not run, and the run's own end if it has one; the exit code."""
    ended = [job for job in view.jobs if job.status is not Status.RUNNING]
    if not ended:
        return 0
    jobs = [f"{run.job(job.name).path}={_outcome(job.status)}" for job in ended]
    return subprocess.call(
        interpreter.module("locat.engine.tracking.sync", *_end(view), *jobs), stdin=subprocess.DEVNULL
    )


def sync_if_ended(run: RunFolder) -> None:
    """As `sync`, if no job is left: what the last job of a run does where no supervisor runs, on clusters."""
    view = status_from_folder(run, run.plan())
    if view.ended and run.tracking.exists():
        sync(run, view)


def troubles(run: RunFolder) -> dict[str, list[str]]:
    """What MLflow refuses until the user does something, as jobs and `launcher sync` found -> names of these jobs."""
    found: dict[str, list[str]] = {}
    for file in sorted(run.path.glob("jobs/*/tracking.json")):
        job = JobFolder(file.parent)
        if trouble := TrackingCursor.read(job).trouble:
            found.setdefault(trouble, []).append(job.name)
    return found


def _outcome(status: Status) -> str:
    """How a job ended that could not say so itself, as an MLflow RunStatus."""
    if status is Status.DONE:
        return "FINISHED"
    return "KILLED" if status in KILLED else "FAILED"


def _end(view: RunView) -> list[str]:
    if view.running or view.status == "running":
        return []
    return ["--run", {"done": "FINISHED", "failed": "FAILED"}.get(view.status, "KILLED")]
