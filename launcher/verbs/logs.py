"""`launcher logs`."""

import codecs
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from launcher.attempt.run import LAUNCH_LOG, last_attempt
from launcher.backends import BACKENDS, look
from launcher.backends.base import NoLogYetError
from launcher.plan import Plan
from launcher.runs.find import find, find_job
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import RunView
from launcher.verbs.arguments import job_argument, run_argument, runs_option
from locat.contract.job_folder import JobFolder, rank_log
from locat.contract.text import printable

POLL = 0.2
"""Seconds between two looks at a log that is followed."""


@click.command("logs")
@run_argument
@job_argument
@click.option("--rank", type=click.IntRange(min=0), help="Rank whose log is printed; 0 if not given.")
@click.option("--attempt", type=click.IntRange(min=1), help="Attempt; the latest if not given.")
@click.option("--follow", "-f", is_flag=True, help="Print what comes until the attempt ends.")
@runs_option
def command(
    reference: str | None, job: str | None, rank: int | None, attempt: int | None, follow: bool, runs: Path
) -> None:
    """Print the log of JOB; if it is left out, of the job that failed, or runs, or ran last."""
    run = find(runs, reference)
    plan = run.plan()
    name = find_job(plan, job) if job else _interesting(look(run, plan))
    log = _log(run, plan, name, rank, attempt, follow)
    if isinstance(log, Path):
        _print_file(run, plan, name, log, rank, follow)
    else:
        for line in log:
            click.echo(_shown(line), nl=False)


def _log(
    run: RunFolder, plan: Plan, name: str, rank: int | None, attempt: int | None, follow: bool
) -> Path | Iterator[str]:
    """A file, or the lines that the backend has; waits for it if it is followed."""
    backend = BACKENDS[plan.backend]
    while True:
        try:
            return backend.log(run, name, rank, attempt, follow) or _file(run.job(name), rank, attempt)
        except NoLogYetError:
            if not follow or not _may_still_run(look(run, plan), name):
                raise
        backend.wait(run)


def _print_file(run: RunFolder, plan: Plan, name: str, file: Path, rank: int | None, follow: bool) -> None:
    """Print what is in a log, and what comes until its attempt ends; rank 0's instead once that is there."""
    poll = BACKENDS[plan.backend].poll
    attempt = int(file.parent.name)
    click.echo(f"==> {file} <==", err=True)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with file.open("rb") as log:
        looked = time.monotonic()
        while True:
            over = not follow or _has_ended(run, name, attempt)
            if not over and time.monotonic() >= looked + poll:
                looked = time.monotonic()
                over = all(job.name != name for job in look(run, plan).running)
            if sys.stdout.isatty():
                click.echo(_shown(decoder.decode(log.read())), nl=False)
            else:
                shutil.copyfileobj(log, sys.stdout.buffer)  # asked before: what was written until then is printed
                sys.stdout.flush()
            if (better := _file(run.job(name), rank, attempt)) != file:
                break
            if over:
                return
            time.sleep(POLL)
    _print_file(run, plan, name, better, rank, follow)


def _shown(text: str) -> str:
    """A log's text as it is, but that it does not command a terminal."""
    return printable(text) if sys.stdout.isatty() else text


def _interesting(view: RunView) -> str:
    """The job somebody who names none wants to read about."""
    for statuses in ({Status.FAILED, Status.INVALID, Status.LOST}, {Status.RUNNING}):
        if jobs := view.having(statuses):
            return jobs[0].name
    return max(view.jobs, key=lambda job: job.state.started or 0).name


def _file(job: JobFolder, rank: int | None, attempt: int | None) -> Path:
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


def _has_ended(run: RunFolder, name: str, attempt: int) -> bool:
    """Whether it is recorded that this attempt has ended: nothing more is written by it."""
    state = run.state(name)
    return state.attempt > attempt or (state.attempt == attempt and state.status is not Status.RUNNING)


def _missing(job: JobFolder, rank: int | None, attempt: int | None) -> str:
    """Why there is no such log, and which there are."""
    logs = sorted(str(log.relative_to(job.attempts)) for log in job.attempts.glob("*/*.log"))
    if not logs:
        return f"{job.name} has no logs: it was not started yet"
    asked = f"rank {rank or 0} of attempt {attempt or last_attempt(job)}"
    return f"{job.name} has no log of {asked}; there are: {', '.join(logs)}"
