"""Being asked to stop: a preempted job checkpoints and exits 75 instead of dying."""

import signal
from types import FrameType


class Interrupted(Exception):
    """Some rank was asked to stop in the middle of something that is begun anew later."""


class StopRequest:
    """Remembers that SIGTERM or SIGUSR1 arrived, for the loop to act on between two steps."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = True
