"""Where a job's log is, and whose is wanted."""

from collections.abc import Iterator
from pathlib import Path

from launcher.attempt.run import LAUNCH_LOG, last_attempt
from launcher.backends import BACKENDS, look
from launcher.backends.base import NoLogYetError
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import RunView
from locat.contract.job_folder import JobFolder, rank_log


def log_of(
    run: RunFolder, plan: Plan, name: str, rank: int | None, attempt: int | None, follow: bool
) -> Path | Iterator[str]:
    """A file, or the lines that the backend has; waits for it if it is followed."""
    backend = BACKENDS[plan.backend]
    while True:
        try:
            return backend.log(run, name, rank, attempt, follow) or file_of(run.job(name), rank, attempt)
        except NoLogYetError:
            if not follow or not _may_still_run(look(run, plan), name):
                raise
        backend.wait(run)


def most_interesting(view: RunView) -> str:
    """The job somebody who names none wants to read about."""
    for statuses in ({Status.FAILED, Status.INVALID, Status.LOST}, {Status.RUNNING}):
        if jobs := view.having(statuses):
            return jobs[0].name
    return max(view.jobs, key=lambda job: job.state.started or 0).name


def file_of(job: JobFolder, rank: int | None, attempt: int | None) -> Path:
    """The rank's log; what the command printed if no rank was asked for and rank 0 has none (yet).

    Raises:
        NoLogYetError: there is neither.
    """
    folder = job.attempt(attempt or last_attempt(job))
    wanted = [rank_log(folder, rank)] if rank is not None else [rank_log(folder, 0), folder / LAUNCH_LOG]
    for log in wanted:
        if log.exists():
            return log
    raise NoLogYetError(_missing(job, rank, attempt))


def _may_still_run(view: RunView, name: str) -> bool:
    return any(job.name == name for job in view.running) or (view.supervised and not view.ended)


def _missing(job: JobFolder, rank: int | None, attempt: int | None) -> str:
    """Why there is no such log, and which there are."""
    logs = sorted(str(log.relative_to(job.attempts)) for log in job.attempts.glob("*/*.log"))
    if not logs:
        return f"{job.name} has no logs: it was not started yet"
    asked = f"rank {rank or 0} of attempt {attempt or last_attempt(job)}"
    return f"{job.name} has no log of {asked}; there are: {', '.join(logs)}"
