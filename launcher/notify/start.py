"""Having the events of a run told, by a process of its own that nobody has to wait for."""

import subprocess
from contextlib import suppress

from launcher import interpreter
from launcher.notify.notice import untold
from launcher.notify.urls import notifications
from launcher.runs.folder import RunFolder
from launcher.runs.status import status_from_folder

Teller = subprocess.Popen[bytes]
PATIENCE = 15.0
"""Seconds a teller may take where it dies with who started it, its own deadline and its start included."""


def start(run: RunFolder) -> Teller | None:
    """Have told what nobody has told yet; None if there is nothing, or no room to begin."""
    with suppress(Exception):  # whatever a file holds, it changes no job's exit code
        plan = run.plan()
        if notifications(plan) and untold(run, status_from_folder(run, plan)):
            return subprocess.Popen(
                interpreter.module("launcher.notify", str(run.path)),
                cwd=run.path,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
    return None


def wait(teller: Teller | None) -> None:
    """Return when it has ended, or should have."""
    if teller is not None:
        with suppress(subprocess.TimeoutExpired):
            teller.wait(PATIENCE)
