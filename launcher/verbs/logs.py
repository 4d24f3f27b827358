"""`launcher logs`."""

import codecs
import shutil
import sys
import time
from pathlib import Path

import click

from launcher.actions.grep import Pattern, Search, Wanted
from launcher.actions.logs import file_of, log_of, most_interesting
from launcher.backends import BACKENDS, look
from launcher.plan import Plan
from launcher.runs.find import find, find_job
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.verbs.arguments import job_argument, run_argument, runs_option
from locat.contract.errors import UserError
from locat.contract.names import one_line
from locat.contract.text import printable

POLL = 0.2
"""Seconds between two looks at a log that is followed."""


@click.command("logs")
@run_argument
@job_argument
@click.option("--rank", type=click.IntRange(min=0), help="Rank whose log to print; by default 0, with --grep all.")
@click.option("--attempt", type=click.IntRange(min=1), help="Attempt whose log to print; by default the latest.")
@click.option(
    "--follow", "-f", is_flag=True, help="Keep printing until the attempt ends; with --grep, until the run ends."
)
@click.option("--grep", "pattern", metavar="PATTERN", help="Print only lines that match this regular expression.")
@click.option(
    "--all-attempts", is_flag=True, help="With --grep: search every attempt, not only the latest one of each job."
)
@runs_option
def command(
    reference: str | None,
    job: str | None,
    rank: int | None,
    attempt: int | None,
    follow: bool,
    pattern: str | None,
    all_attempts: bool,
    runs: Path,
) -> None:
    """Print the log of JOB; without JOB, the log of the job that failed, is running, or ran last.

    With --grep, search the logs of all ranks of JOB, or of every job; each matching line begins with its job.
    """
    if all_attempts and (pattern is None or attempt):
        raise UserError("--all-attempts goes with --grep, and not with --attempt")
    run = find(runs, reference)
    plan = run.plan()
    if pattern is not None:
        jobs = [find_job(plan, job)] if job else [each.name for each in plan.jobs]
        _print_matches(Search(run, plan, Pattern(pattern), Wanted(jobs, rank, attempt, all_attempts)), pattern, follow)
        return
    name = find_job(plan, job) if job else most_interesting(look(run, plan))
    log = log_of(run, plan, name, rank, attempt, follow)
    if isinstance(log, Path):
        _print_file(run, plan, name, log, rank, follow)
    else:
        for line in log:
            click.echo(_shown(line), nl=False)


def _print_matches(search: Search, pattern: str, follow: bool) -> None:
    """Print lines that match, and say so if there are none. Escaped, whatever they go to: a line stays one."""
    found = False
    for line in search.lines(follow):
        found = True
        click.echo(printable(line))
        if follow:
            sys.stdout.flush()
    for log, why in search.unread.items():
        click.echo(f"note: {printable(str(log))} cannot be read: {why}", err=True)
    if not found:
        count = len(search.searched)
        nothing = f"nothing matches '{one_line(pattern)}' in the logs of {count} job{'s' if count > 1 else ''}"
        click.echo(nothing if count else "there are no such logs yet", err=True)


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
            if (better := file_of(run.job(name), rank, attempt)) != file:
                break
            if over:
                return
            time.sleep(POLL)
    _print_file(run, plan, name, better, rank, follow)


def _shown(text: str) -> str:
    """A log's text as it is, but that it does not command a terminal."""
    return printable(text) if sys.stdout.isatty() else text


def _has_ended(run: RunFolder, name: str, attempt: int) -> bool:
    """Whether it is recorded that this attempt has ended: nothing more is written by it."""
    state = run.state(name)
    return state.attempt > attempt or (state.attempt == attempt and state.status is not Status.RUNNING)
