"""`launcher sync`."""

import sys
from pathlib import Path

import click

from launcher.backends import look
from launcher.runs import mlflow_sync
from launcher.runs.find import find
from launcher.verbs.arguments import run_argument, runs_option


@click.command("sync")
@run_argument
@runs_option
def command(reference: str | None, runs: Path) -> None:
    """Send to MLflow what the jobs of RUN could not, since it did not answer: metrics, files, how they ended.

    Done twice it sends nothing twice. Exit code 1 if something is still left, 0 if not.
    """
    run = find(runs, reference)
    view = look(run, run.plan())
    for job in view.running:
        click.echo(f"{job.name}: sends by itself: it still runs")
    sys.stdout.flush()
    sys.exit(mlflow_sync.sync(run, view))
