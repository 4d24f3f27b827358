"""Looking on while a run goes, until it has ended or nobody supervises it any more."""

import time

from rich.console import Console
from rich.live import Live

from launcher.actions.wait import views
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.progress import described
from launcher.runs.signs import Observer
from launcher.runs.state import Status
from launcher.runs.status import RunView
from launcher.view import tables
from launcher.view.signs import in_words
from launcher.view.summary import jobs_report
from locat.contract.text import printable

PROGRESS_EVERY = 15.0
"""Seconds between two progress lines of one job in a log."""


def watch(run: RunFolder, plan: Plan, console: Console) -> RunView:
    """Show the run until it ends, as a live table on a terminal and as lines elsewhere; returns the last view."""
    can_redraw = console.is_terminal and not console.is_dumb_terminal
    return _live(run, plan, console) if can_redraw else _lines(run, plan, console)


def _live(run: RunFolder, plan: Plan, console: Console) -> RunView:
    observer = Observer(run)
    # Transient: the closing report, printed by the caller, takes the table's place.
    with Live(console=console, transient=True, auto_refresh=False) as live:
        for view in views(run, plan):
            live.update(jobs_report(view, observer.look(view), console), refresh=True)
    return view


def _lines(run: RunFolder, plan: Plan, console: Console) -> RunView:
    observer = Observer(run)
    shown: dict[str, tuple[Status, int]] = {}
    told: dict[str, float] = {}
    for view in views(run, plan):
        for job in view.jobs:
            if shown.get(job.name) != (job.status, job.state.attempt):
                shown[job.name] = job.status, job.state.attempt
                told[job.name] = time.monotonic()
                words = f"{job.name}: {job.status} {tables.duration(job)}".rstrip()
                console.print(f"{words}: {job.reason}" if job.reason else words, soft_wrap=True)
            elif job.status is Status.RUNNING and time.monotonic() >= told[job.name] + PROGRESS_EVERY:
                told[job.name] = time.monotonic()
                signs = observer.of(job)
                words = ", ".join(
                    filter(None, (described(signs.progress) if signs.progress else "", in_words(signs, console)))
                )
                if words:
                    console.print(printable(f"{job.name}: {words}"), soft_wrap=True)
    return view
