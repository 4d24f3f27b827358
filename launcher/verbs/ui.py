"""`launcher ui`."""

import math
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from launcher import interpreter
from launcher.attempt.requests import StopRequests
from launcher.runs.find import find
from launcher.runs.folder import RunFolder
from launcher.verbs.arguments import run_argument, runs_option
from locat.contract.errors import UserError
from locat.contract.tracking import ParentRun
from locat.contract.tracking_uri import file_of

HOST = "127.0.0.1"
APP = "locat-private"
"""Entry point of locat/engine/tracking/private_server.py, which this module does not import: MLflow does."""
KEY_VARIABLE = "LOCAT_UI_KEY"
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Else MLflow starts ten processes more, of 2 GB together, for evaluations of language models."""
GUARD = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"
"""The end of its standard input is the end of whoever holds the other side."""
TRAINING_VIEW = "?workflowType=machine_learning"
"""Without it MLflow 3 shows a run as one of a chat application's."""


@click.command("ui")
@run_argument
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; by default a free one.")
@runs_option
def command(reference: str | None, port: int | None, runs: Path) -> None:
    """Open the MLflow UI on RUN until Ctrl-C. If RUN uses a tracking server, only print its address.

    The printed address contains a key: other users of this machine cannot open the UI without it.
    """
    run = find(runs, reference)
    uri = run.plan().tracking_uri
    if uri.startswith(("http://", "https://")):
        click.echo(uri.rstrip("/") + _page(run))
        return
    if (file := file_of(uri)) and not file.exists():
        # Not by the server: killed while it makes the tables it would leave a store that nobody can open.
        _make_store(uri, file)
    port = _free_port(port)
    key = secrets.token_urlsafe(24)
    click.echo(f"http://{HOST}:{port}{_page(run, key)}")
    server = interpreter.module("mlflow", "server", "--app-name", APP, "--host", HOST, "--port", str(port))
    # By the environment, which other users cannot read, unlike the list of processes.
    environment = {**_environment(), **NO_JOBS, KEY_VARIABLE: key, "MLFLOW_BACKEND_STORE_URI": uri}
    code = _serve([*server, "--workers", "1"], environment)
    if code is not None:
        sys.exit(code)
    click.echo("\nMLflow UI stopped")


def _serve(command: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Run a server; its exit code, or None where this process was asked to stop. No process of it is left then.

    They are killed, also where this process is: what a store has taken is in its database.
    """
    requests = StopRequests()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    guard = _guard(server.pid)
    try:
        while server.poll() is None and not requests.requested:
            requests.wait(math.inf)
        return server.returncode
    finally:
        guard.kill()
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        guard.communicate()


def _guard(group: int) -> "subprocess.Popen[bytes]":
    """A process that kills a process group once this process has ended, by whatever signal."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", GUARD, str(group)], stdin=subprocess.PIPE, start_new_session=True
    )


def _make_store(uri: str, file: Path) -> None:
    """Have the store that `uri` names made.

    Raises:
        UserError: it cannot be written.
    """
    module = interpreter.module("locat.engine.tracking.store", uri)
    made = subprocess.run(module, stderr=subprocess.PIPE, encoding="utf-8", errors="backslashreplace")
    if made.returncode:
        *_, reason = made.stderr.strip().splitlines() or [f"exit code {made.returncode}"]
        raise UserError(
            f"{file}: this MLflow store is not there and cannot be made ({reason}); make its folder writable"
        )


def _environment() -> dict[str, str]:
    """Without MLflow's variables: what is left over from another server would be this one's options."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW_"))}


def _page(run: RunFolder, key: str = "") -> str:
    """The page of the pipeline's parent run, or the front page while it has none; opened by `key` if one is needed."""
    query = f"?key={key}" if key else ""
    parent = ParentRun.read(run.path)
    if not parent.run_id:
        return f"/{query}"
    return f"/{query}#/experiments/{parent.experiment_id}/runs/{parent.run_id}{TRAINING_VIEW}"


def _free_port(port: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except OSError as error:
            raise UserError(f"port {port}: {error.strerror}; without --port a free one is taken") from error
        free: int = probe.getsockname()[1]
        return free
