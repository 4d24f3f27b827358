"""What a shell offers at the tab key: names of runs, and of a run's jobs."""

from pathlib import Path

import click

from launcher.runs.find import RunError, find, list_runs
from launcher.runs.folder import RunFolder


def complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Runs, newest first, whose name begins as what was typed."""
    return [run.name for run in list_runs(_runs(context)) if run.name.startswith(incomplete)]


def complete_job(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Jobs of the run that was named before."""
    try:
        run: RunFolder = find(_runs(context), context.params.get("reference"))
    except RunError:
        return []
    return [job.name for job in run.plan().jobs if job.name.startswith(incomplete)]


def _runs(context: click.Context) -> Path:
    return Path(context.params.get("runs") or "runs")
