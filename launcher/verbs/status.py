"""`launcher status`."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from launcher.actions.wait import views
from launcher.backends import look
from launcher.notify import notice
from launcher.runs.find import find
from launcher.runs.folder import RunFolder
from launcher.runs.mlflow_sync import troubles
from launcher.runs.signs import Observer, Signs
from launcher.runs.status import RunView
from launcher.verbs.arguments import run_argument, runs_option
from launcher.view import summary, tables
from launcher.view.watch import watch


@click.command("status")
@run_argument
@click.option("--watch", "watched", is_flag=True, help="Keep the display up to date until the run ends.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, one line per change.")
@runs_option
def command(reference: str | None, watched: bool, as_json: bool, runs: Path) -> None:
    """Show the status of each job of RUN, the progress of running jobs, and the results once the run has ended.

    With --watch, Ctrl-C ends the display, not the run.
    """
    run = find(runs, reference)
    plan = run.plan()
    if as_json:
        _print_json(run, views(run, plan) if watched else [look(run, plan)], None if watched else 2)
    else:
        out = tables.console()
        view = watch(run, plan, out) if watched else look(run, plan)
        out.print(summary.run_report(run, view, out))


def _print_json(run: RunFolder, views: Iterable[RunView], indent: int | None) -> None:
    """Each view that is not as the one before."""
    observer, last = Observer(run), ""
    for view in views:
        if (now := json.dumps(_as_json(run, view, observer.look(view)), indent=indent)) != last:
            click.echo(now)
            sys.stdout.flush()
            last = now


def _as_json(run: RunFolder, view: RunView, signs: Mapping[str, Signs]) -> dict[str, Any]:
    refused = {name: trouble for trouble, names in troubles(run).items() for name in names}
    jobs = []
    for job in view.jobs:
        told = signs.get(job.name)
        shown = {"name": job.name, **asdict(job.state), "status": job.status, "reason": job.reason}
        shown["progress"] = asdict(told.progress) if told and told.progress else None
        shown["signs"] = told.as_json() if told else None
        jobs.append({**shown, "tracking": refused.get(job.name, ""), "branched_from": job.job.branched_from})
    return {
        "run": run.name,
        "folder": str(run.path),
        "status": view.status,
        "supervisor_alive": view.supervised,
        "jobs": jobs,
        "not_told": notice.troubles(run, view),
    }
