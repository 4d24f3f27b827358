"""`launcher status`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from launcher.backends import look
from launcher.runs.find import find
from launcher.runs.folder import RunFolder
from launcher.runs.mlflow_sync import troubles
from launcher.runs.status import RunView
from launcher.verbs.arguments import run_argument, runs_option
from launcher.view import summary, tables


@click.command("status")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print the same for programs.")
@runs_option
def command(reference: str | None, as_json: bool, runs: Path) -> None:
    """Show how each job of RUN stands, and the results once it has ended."""
    run = find(runs, reference)
    view = look(run, run.plan())
    if as_json:
        click.echo(json.dumps(_as_json(run, view), indent=2))
        return
    out = tables.console()
    out.print(summary.run_report(run, view, bars=out.is_terminal))


def _as_json(run: RunFolder, view: RunView) -> dict[str, Any]:
    refused = {name: trouble for trouble, names in troubles(run).items() for name in names}
    jobs = []
    for job in view.jobs:
        progress = tables.job_progress(run, job)
        shown = {"name": job.name, **asdict(job.state), "status": job.status, "reason": job.reason}
        told = {"progress": asdict(progress) if progress else None, "tracking": refused.get(job.name, "")}
        told["branched_from"] = job.job.branched_from
        jobs.append({**shown, **told})
    return {
        "run": run.name,
        "folder": str(run.path),
        "status": view.status,
        "supervisor_alive": view.supervised,
        "jobs": jobs,
    }
