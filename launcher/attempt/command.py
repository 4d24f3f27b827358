"""A job's command while it runs: waited for, asked to stop, killed."""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from launcher.attempt import processes
from launcher.attempt.requests import StopRequests
from launcher.attempt.stop import Action, Stopping
from locat.contract.job_folder import JobFolder

STOPPED_MARK = "stopped"
"""In an attempt's folder: it was asked to stop, on this or another of its nodes."""


@dataclass(frozen=True)
class Command:
    """The command of an attempt, which leads a process group."""

    process: subprocess.Popen[bytes]
    job: JobFolder
    folder: Path
    """The attempt's."""
    stop_with: tuple[str, ...]
    """Asks the job to stop; without one the process group gets SIGTERM."""

    def wait(self, requests: StopRequests, grace: float, limit: float | None, is_warned: bool) -> Stopping:
        """Return when it has ended, and how it came to that.

        It is asked to stop when that is requested or its time of `limit` seconds is about to be over (see
        `Stopping.limited`), and killed when the grace after that is over.
        """
        now = time.monotonic()
        stopping, actions = Stopping(grace).advance(now, requests.new())  # what came before it began
        if limit is not None:
            stopping = stopping.limited(now, limit, is_warned)
        has_ended = False
        while True:
            if Action.ASK in actions:
                self._mark()
                if not has_ended:
                    self._ask(stopping.kill_at - time.monotonic())
            if Action.KILL in actions:
                self.kill()
            if has_ended:
                return stopping
            requests.wait(stopping.next_at)
            has_ended = self._has_ended()
            stopping, actions = stopping.advance(time.monotonic(), requests.new(), has_ended)

    def kill(self) -> None:
        """End every process of the job that is still there."""
        self._send(signal.SIGKILL)
        processes.send(processes.of_job(self.job), signal.SIGKILL)

    def _has_ended(self) -> bool:
        """Whether it has ended. It is not reaped yet, so that the number of its group stays its own for `kill`."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _mark(self) -> None:
        with contextlib.suppress(OSError):  # a full disk takes no mark
            (self.folder / STOPPED_MARK).touch()

    def _ask(self, patience: float) -> None:
        if not (self.stop_with and _succeeds(self.stop_with, patience)):
            self._send(signal.SIGTERM)  # never SIGUSR1: torchrun passes on SIGTERM, but dies of SIGUSR1

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _succeeds(command: tuple[str, ...], patience: float) -> bool:
    """Whether a command ends well within `patience` seconds."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, timeout=max(0.0, patience)).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
