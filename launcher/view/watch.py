"""Looking on while a run goes, until it has ended or nobody supervises it any more."""

import time

from rich.console import Console
from rich.live import Live

from launcher.actions.wait import views
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.progress import described
from launcher.runs.state import Status
from launcher.runs.status import RunView
from launcher.view import tables

PROGRESS_EVERY = 15.0
"""Seconds between two progress lines of one job in a log."""


def watch(run: RunFolder, plan: Plan, console: Console) -> RunView:
    """Show the run until it ends, as a live table on a terminal and as lines elsewhere; returns the last view."""
    return _live(run, plan, console) if console.is_terminal else _lines(run, plan, console)


def _live(run: RunFolder, plan: Plan, console: Console) -> RunView:
    # Transient: the closing report, printed by the caller, takes the table's place.
    with Live(console=console, transient=True, auto_refresh=False) as live:
        for view in views(run, plan):
            live.update(tables.jobs_table(run, view, bars=True), refresh=True)
    return view


def _lines(run: RunFolder, plan: Plan, console: Console) -> RunView:
    shown: dict[str, tuple[Status, int]] = {}
    told: dict[str, float] = {}
    for view in views(run, plan):
        for job in view.jobs:
            now = tables.job_progress(run, job)
            if shown.get(job.name) != (job.status, job.state.attempt):
                shown[job.name] = job.status, job.state.attempt
                told[job.name] = time.monotonic()
                words = f"{job.name}: {job.status} {tables.duration(job)}".rstrip()
                console.print(f"{words}: {job.reason}" if job.reason else words, soft_wrap=True)
            elif now and time.monotonic() >= told[job.name] + PROGRESS_EVERY:
                told[job.name] = time.monotonic()
                console.print(f"{job.name}: {described(now)}", soft_wrap=True)
    return view
