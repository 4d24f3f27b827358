"""Signals that ask to stop. Their handlers note them and do nothing else; one loop acts."""

import math
import os
import select
import signal
import time
from contextlib import suppress
from types import FrameType

from launcher.attempt.stop import Request


class StopRequests:
    """Notes signals from now on; there is one in a process. SIGUSR1 is the early warning of some schedulers."""

    def __init__(self) -> None:
        self.requested = False
        """Whether any came."""
        self._new: list[Request] = []
        self._readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._note)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # so that the end of a child wakes too

    def new(self) -> list[Request]:
        """Those that came since this was last asked."""
        new, self._new = self._new, []
        return new

    def wait(self, until: float) -> None:
        """Return at this moment of the monotonic clock, or when a signal came or a child ended before."""
        timeout = None if until == math.inf else max(0.0, until - time.monotonic())
        select.select([self._readable], [], [], timeout)
        with suppress(BlockingIOError):
            os.read(self._readable, 4096)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._new.append(Request(number, time.monotonic()))
