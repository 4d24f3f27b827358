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
    """Upload the metrics, files and final states of RUN's jobs that did not reach MLflow.

    Never sends anything twice. Exits with code 1 if something is still left, otherwise 0.
    """
    run = find(runs, reference)
    view = look(run, run.plan())
    for job in view.running:
        click.echo(f"{job.name}: sends by itself: it still runs")
    sys.stdout.flush()
    sys.exit(mlflow_sync.sync(run, view))
