"""`launcher status`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from launcher.actions.wait import views
from launcher.backends import look
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
@click.option("--watch", "watched", is_flag=True, help="Go on showing it until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the same for programs; with --watch a line per change.")
@runs_option
def command(reference: str | None, watched: bool, as_json: bool, runs: Path) -> None:
    """Show how each job of RUN stands, how those do that run, and the results once it has ended.

    With --watch, Ctrl-C ends the showing and not the run.
    """
    run = find(runs, reference)
    plan = run.plan()
    observer = Observer(run)
    if as_json and watched:
        last = ""
        for view in views(run, plan):
            if (now := json.dumps(_as_json(run, view, observer.look(view)))) != last:
                click.echo(now)
                last = now
        return
    if as_json:
        view = look(run, plan)
        click.echo(json.dumps(_as_json(run, view, observer.look(view)), indent=2))
        return
    out = tables.console()
    view = watch(run, plan, out) if watched else look(run, plan)
    out.print(summary.run_report(run, view, out))


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
    }
