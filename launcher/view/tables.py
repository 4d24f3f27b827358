"""Tables of runs and jobs on a terminal."""

import sys
import time
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from launcher.runs.folder import RunFolder
from launcher.runs.progress import clock, described
from launcher.runs.state import Status
from launcher.runs.status import JobView, RunView
from locat.contract.clock import between
from locat.contract.progress import ProgressRecord
from locat.contract.text import printable

STYLES = {
    Status.PENDING: "dim",
    Status.QUEUED: "cyan",
    Status.RUNNING: "bold blue",
    Status.DONE: "green",
    Status.FAILED: "bold red",
    Status.INVALID: "bold red",
    Status.PREEMPTED: "yellow",
    Status.LOST: "bold magenta",
    Status.BLOCKED: "red",
    Status.CANCELLED: "yellow",
}
LOG_WIDTH = 160
"""Columns of a table that no terminal limits."""


def console() -> Console:
    """Standard output, as wide as its terminal."""
    return Console(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False, markup=False, soft_wrap=False)


def job_progress(run: RunFolder, job: JobView) -> ProgressRecord | None:
    """How far a job is; None unless it runs and said so."""
    return ProgressRecord.read(run.job(job.name).progress) if job.status is Status.RUNNING else None


def duration(job: JobView) -> str:
    """How long the latest attempt took, or takes already."""
    if job.state.started is None:
        return ""
    end = time.time() if job.status is Status.RUNNING else job.state.ended
    return "" if end is None else clock(between(job.state.started, end))


def text(value: object, style: str = "") -> Text:
    """A piece of a table or report; it may come from anybody, and commands no terminal."""
    return Text(printable(str(value)), style=style)


def table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def jobs_table(run: RunFolder, view: RunView, bars: bool) -> Table:
    """A line per job; `bars` draws progress, else it is told in words."""
    rows = table(f"{view.plan.run_id}: {view.status}")
    for column in ("job", "status", "attempt", "duration"):
        rows.add_column(column, no_wrap=True, justify="right" if column in ("attempt", "duration") else "left")
    rows.add_column("progress or reason", overflow="fold")
    for job in view.jobs:
        rows.add_row(
            text(job.name),
            text(job.status, STYLES[job.status]),
            str(job.state.attempt or ""),
            duration(job),
            _note(job, job_progress(run, job), bars),
        )
    return rows


def _note(job: JobView, now: ProgressRecord | None, bars: bool) -> RenderableType:
    if now is None:
        return text(job.reason)
    words = text(f"{described(now)} {job.reason}".rstrip())
    if not bars:
        return words
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=now.total, completed=now.done, width=12), words)
    return grid


def runs_table(views: Iterable[RunView]) -> Table:
    """A line per run."""
    rows = table()
    for column in ("run", "status", "jobs done", "started", "description"):
        rows.add_column(column, no_wrap=column != "description")
    for view in views:
        starts = [job.state.started for job in view.jobs if job.state.started is not None]
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(min(starts))) if starts else ""
        done = f"{len(view.having([Status.DONE]))}/{len(view.jobs)}"
        rows.add_row(text(view.plan.run_id), view.status, done, started, text(view.plan.description))
    return rows
