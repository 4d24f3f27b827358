"""Requests to stop, passed on to the job."""

import contextlib
import math
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from launcher.attempt import processes
from locat.contract.job_folder import JobFolder

GRACE = 60.0
"""Seconds a job has to checkpoint after it was asked to stop."""
STOPPED_MARK = "stopped"
"""In an attempt's folder: it was asked to stop, on this or another of its nodes."""


@dataclass
class Stop:
    """Passes requests to stop on to the job, and kills it when the grace after the first one is over."""

    job: JobFolder
    grace: float
    stop_with: tuple[str, ...] = ()
    requested: bool = field(default=False, init=False)
    out_of_time: bool = field(default=False, init=False)
    half_time: float = field(default=math.inf, init=False)
    """Half of the job's time is over at this moment of the monotonic clock."""
    killed: bool = field(default=False, init=False)
    group: int | None = field(default=None, init=False)
    """The command's process group, once it runs."""
    folder: Path | None = field(default=None, init=False)
    """The attempt's, once it has one."""

    def install(self) -> None:
        """Handle the signals of schedulers; SIGUSR1 is the early warning of some."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._on_request)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def pass_on_to(self, group: int, limit: float | None = None, is_warned: bool = False) -> None:
        """From now on signals go to this process group; one that came already goes there at once.

        `limit` seconds from now the job has ended: it is asked to stop as long before as the grace is, but not
        before half of the time is over. `is_warned`: its scheduler asks for that by SIGUSR1.
        """
        self.group = group
        if self.requested:
            self._ask()
        elif limit is not None:
            self.half_time = time.monotonic() + limit / 2
            if not is_warned:
                signal.setitimer(signal.ITIMER_REAL, max(limit - self.grace, limit / 2))

    def kill(self) -> None:
        """End every process of the job that is still there."""
        self._send(signal.SIGKILL)
        processes.send(processes.of_job(self.job), signal.SIGKILL)

    def _on_request(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            signal.setitimer(signal.ITIMER_REAL, self.grace)
            # An early warning is to make room for others.
            self.out_of_time |= number == signal.SIGUSR1 and time.monotonic() > self.half_time
        self.requested = True
        self._ask()

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self.killed = True
            self.kill()
        else:
            self.out_of_time = True
            self._on_request(number, frame)

    def _ask(self) -> None:
        if self.group is None or self.folder is None:
            return
        with contextlib.suppress(OSError):  # a full disk takes no mark
            (self.folder / STOPPED_MARK).touch()
        if not self.stop_with or subprocess.run(self.stop_with, stdin=subprocess.DEVNULL).returncode:
            self._send(signal.SIGTERM)  # never SIGUSR1: torchrun passes on SIGTERM, but dies of SIGUSR1

    def _send(self, number: signal.Signals) -> None:
        if self.group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.group, number)
