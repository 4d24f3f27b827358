"""`launcher ui`."""

import socket
import subprocess
import sys
from pathlib import Path

import click

from launcher.runs.find import find
from launcher.runs.folder import RunFolder
from launcher.verbs.arguments import run_argument, runs_option
from locat.contract.errors import UserError
from locat.contract.tracking import ParentRun

HOST = "127.0.0.1"
TRAINING_VIEW = "?workflowType=machine_learning"
"""Without it MLflow 3 shows a run as one of a chat application's."""


@click.command("ui")
@run_argument
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; a free one if not given.")
@runs_option
def command(reference: str | None, port: int | None, runs: Path) -> None:
    """Open the MLflow UI on RUN; stays until Ctrl-C. Of a tracking server only the address is printed."""
    run = find(runs, reference)
    uri = run.plan().tracking_uri
    if uri.startswith(("http://", "https://")):
        click.echo(uri.rstrip("/") + _page(run))
        return
    port = _free_port(port)
    click.echo(f"http://{HOST}:{port}{_page(run)}")
    options = {"--backend-store-uri": uri, "--host": HOST, "--port": str(port), "--workers": "1"}
    server = [sys.executable, "-m", "mlflow", "ui"]
    try:
        sys.exit(subprocess.call([*server, *(word for option in options.items() for word in option)]))
    except KeyboardInterrupt:
        click.echo("\nMLflow UI stopped")


def _page(run: RunFolder) -> str:
    """The page of the pipeline's parent run; the front page while it has none."""
    parent = ParentRun.read(run.path)
    if not parent.run_id:
        return "/"
    return f"/#/experiments/{parent.experiment_id}/runs/{parent.run_id}{TRAINING_VIEW}"


def _free_port(port: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except OSError as error:
            raise UserError(f"port {port}: {error.strerror}; without --port a free one is taken") from error
        free: int = probe.getsockname()[1]
        return free
