"""Tables of runs and jobs on a terminal."""

import sys
import time
from collections.abc import Iterable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

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
NARROW, WIDE = 72, 100
"""Columns of a terminal below which jobs are not in a table, and from which on their bars are."""
LOG_WIDTH = 160
"""Columns of a table that no terminal limits."""


def console() -> Console:
    """Standard output, as wide as its terminal."""
    return Console(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False, markup=False, soft_wrap=False)


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


def jobs_table(view: RunView, progress: Mapping[str, ProgressRecord | None], out: Console) -> RenderableType:
    """A line per job, two where `out` is narrow. On a terminal a bar shows how far it is, if there is room for one.

    Args:
        progress: of the jobs that run.
    """
    title = f"{view.plan.run_id}: {view.status}"
    notes = {job.name: _note(job, progress.get(job.name)) for job in view.jobs}
    if out.width < NARROW:
        return Group(text(title, "bold"), *(_lines(job, notes[job.name]) for job in view.jobs))
    rows = table(title)
    for column in ("job", "status", "attempt", "duration"):
        rows.add_column(column, no_wrap=True, justify="right" if column in ("attempt", "duration") else "left")
    rows.add_column("progress or reason", overflow="fold")
    for job in view.jobs:
        note: RenderableType = notes[job.name]
        if (now := progress.get(job.name)) and out.is_terminal and out.width >= WIDE:
            note = Table.grid(padding=(0, 1))
            note.add_row(ProgressBar(total=now.total, completed=now.done, width=12), notes[job.name])
        attempt = str(job.state.attempt or "")
        rows.add_row(text(job.name), text(job.status, STYLES[job.status]), attempt, duration(job), note)
    return rows


def _note(job: JobView, now: ProgressRecord | None) -> Text:
    return text(f"{described(now)} {job.reason}".rstrip() if now else job.reason)


def _lines(job: JobView, note: Text) -> RenderableType:
    """A job's line, and below it what there is to say."""
    said = Text.assemble(text(job.name), " ", text(job.status, STYLES[job.status]), f" {duration(job)}".rstrip())
    said.overflow = note.overflow = "fold"
    parts = [text(f"attempt {job.state.attempt}")] * (job.state.attempt > 1) + [note] * bool(note)
    return Group(said, Padding(Text(", ").join(parts), (0, 0, 0, 2), expand=False)) if parts else said


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
