"""How runs, jobs and results look on a terminal."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from launcher.runs import progress
from launcher.runs.folder import RunFolder
from launcher.runs.progress import Progress, clock
from launcher.runs.state import Status
from launcher.runs.status import JobView, RunView

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


def job_progress(run: RunFolder, job: JobView) -> Progress | None:
    """How far a job is; None unless it runs and said so."""
    return progress.read(run.job(job.name).progress, job.state.started) if job.status is Status.RUNNING else None


def duration(job: JobView) -> str:
    """How long the latest attempt took, or takes already."""
    if job.state.started is None:
        return ""
    end = time.time() if job.status is Status.RUNNING else job.state.ended
    return "" if end is None else clock(end - job.state.started)


def _table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def jobs_table(run: RunFolder, view: RunView, bars: bool) -> Table:
    """A line per job; `bars` draws progress, else it is told in words."""
    table = _table(f"{view.plan.run_id}: {view.status}")
    for column in ("job", "status", "attempt", "duration"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("attempt", "duration") else "left")
    table.add_column("progress or reason", overflow="fold")
    for job in view.jobs:
        table.add_row(
            Text(job.name),
            Text(job.status, style=STYLES[job.status]),
            str(job.state.attempt or ""),
            duration(job),
            _note(job, job_progress(run, job), bars),
        )
    return table


def _note(job: JobView, now: Progress | None, bars: bool) -> RenderableType:
    if now is None:
        return Text(job.reason)
    words = Text(f"{now} {job.reason}".rstrip())
    if not bars:
        return words
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=now.total, completed=now.done, width=12), words)
    return grid


def runs_table(views: Iterable[RunView]) -> Table:
    """A line per run."""
    table = _table()
    for column in ("run", "status", "jobs done", "started", "description"):
        table.add_column(column, no_wrap=column != "description")
    for view in views:
        starts = [job.state.started for job in view.jobs if job.state.started is not None]
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(min(starts))) if starts else ""
        done = f"{len(view.having([Status.DONE]))}/{len(view.jobs)}"
        table.add_row(Text(view.plan.run_id), view.status, done, started, Text(view.plan.description))
    return table


def run_report(run: RunFolder, view: RunView, bars: bool = False) -> Group:
    """The jobs, what to do if the run stands still, and its results once it has ended."""
    parts: list[RenderableType] = [jobs_table(run, view, bars)]
    if advice := next_step(run, view):
        parts.append(Text(advice, style="bold"))
    if view.ended:
        parts.extend(_results(run, view))
    return Group(*parts)


def next_step(run: RunFolder, view: RunView) -> str:
    """What the user should know or do now; empty if the run goes well."""
    if view.status == "stopped":
        what = "the supervisor is not running" if view.plan.backend == "local" else "no job of it is in the queue"
        return (
            f"{what} (jobs running: {len(view.running)}, waiting: {len(view.waiting)}): "
            f"`{command('retry', run)}` goes on from what is done"
        )
    bad = view.having([Status.FAILED, Status.INVALID])
    if view.ended and bad:
        return f"`{command('logs', run)} {bad[0].name}` shows why; `{command('retry', run)}` goes on from what is done"
    if view.status == "cancelled":
        return f"`{command('retry', run)}` goes on from what is done"
    return ""


def _results(run: RunFolder, view: RunView) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for job in view.having([Status.DONE]):
        comparison = run.job(job.name).outputs / "comparison.json"
        if job.job.config.get("task") == "compare" and comparison.exists():
            parts.append(_comparison_table(job.name, json.loads(comparison.read_text())))
    figures = sorted(run.path.glob("jobs/*/outputs/figures/*.png"))
    if figures:
        parts.append(Text("\n".join(["figures:", *(f"  {_short(figure)}" for figure in figures)]), overflow="fold"))
    if view.having([Status.DONE]):
        parts.append(Text(f"MLflow UI on this run: {command('ui', run)}"))
    return parts


def _comparison_table(title: str, comparison: dict[str, Any]) -> Table:
    table = _table(f"{title} (percent)")
    for column in comparison["columns"]:
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in comparison["rows"]:
        table.add_row(*(_number(row.get(column)) for column in comparison["columns"]))
    return table


def _number(value: Any) -> Text:
    if value is None:
        return Text("")
    return Text(f"{value:.1f}" if isinstance(value, float) else str(value))


def command(verb: str, run: RunFolder) -> str:
    """The command line that asks `verb` about a run from here."""
    runs = Path(os.environ.get("LAUNCHER_RUNS", "runs"))
    elsewhere = "" if runs.resolve() == run.path.parent else f" --runs-dir {_short(run.path.parent)}"
    return f"{_program()} {verb}{elsewhere} {run.name}"


def _program() -> str:
    """`launcher` where the shell finds it, else the one beside this interpreter."""
    script = Path(sys.executable).with_name("launcher")
    return "launcher" if shutil.which("launcher") or not script.exists() else _short(script)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
