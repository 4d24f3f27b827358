"""A time limit for reading: a mount that does not answer ends the job with the name of the file.

A process that waits for such a mount cannot be interrupted, only ended: by a thread of its own, or by its parent.
"""

import ctypes
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import TypeVar

from locat.contract.errors import JobError
from locat.contract.names import one_line_path
from locat.contract.outcome import write_outcome

logger = logging.getLogger(__name__)

NOBODY, NOTHING = 0, -1
"""At a desk that no process took, and where its process is at no sample."""
LOOK = 1.0
"""Seconds between two looks. Looks are counted, so that a job that was stopped for an hour has not waited for one."""

T = TypeVar("T")


class _Question:
    """One call that asks the file system for a path; the next one is another, though it be for the same path."""

    def __init__(self, path: Path | str) -> None:
        self.path = path


_asked: _Question | None = None
"""What this process waits for."""


def asking(path: Path | str, call: Callable[[], T]) -> T:
    """What `call` gives, which asks the file system for `path`; see `answers_within`."""
    global _asked
    _asked = _Question(path)
    try:
        return call()
    finally:
        _asked = None


@contextmanager
def answers_within(limit: float) -> Iterator[None]:
    """End this process, with exit code 1, where one call of `asking` in the body takes more than `limit` seconds."""
    ended = threading.Event()

    def watch() -> None:
        last, looks = _asked, 0
        while not ended.wait(LOOK):
            now = _asked
            last, looks = now, looks + 1 if now is last else 0
            if now is not None and looks * LOOK > limit:
                reason = str(stalled(str(now.path), limit))
                logger.error("%s", reason)
                write_outcome(1, reason)
                os._exit(1)

    thread = threading.Thread(target=watch, name="stalls", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Desk(ctypes.Structure):
    """Where a worker process says what it does."""

    _fields_ = (("process", ctypes.c_int64), ("sample", ctypes.c_int64))


class Desks:
    """Which sample each worker process is at; the parent looks at them."""

    def __init__(self, context: ForkContext, workers: int) -> None:
        self._desks = context.RawArray(Desk, [(NOBODY, NOTHING)] * workers)
        self._next = context.Value("q", 0)
        self._looked = time.monotonic()
        self._looks = 0
        self._waited: dict[int, tuple[int, int]] = {}
        """The sample that a process was at, and how many looks ago it came there."""

    def sit(self) -> None:
        """Take a desk, in a worker process."""
        with self._next.get_lock():
            self._own = self._desks[self._next.value]
            self._next.value += 1
        self._own.process, self._own.sample = os.getpid(), NOTHING

    def begin(self, sample: int) -> None:
        """Say at which sample this worker process is, or NOTHING."""
        self._own.sample = sample

    def look(self, limit: float, name: Callable[[int], str]) -> None:
        """Look, no more often than every LOOK seconds.

        Raises:
            JobError: a process, which is ended, was at one sample for more than `limit` seconds, or did not come to
                its desk: one that is forked waits forever for what another thread held at that moment.
        """
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        self._looks += 1
        if self._looks * LOOK > limit and any(desk.process == NOBODY for desk in self._desks):
            for process in multiprocessing.active_children():
                process.kill()
            raise JobError(f"a process that was to encode images did not begin within {limit:g} s; run again to go on")
        for desk in self._desks:
            at, looks = self._waited.get(desk.process, (NOTHING, 0))
            self._waited[desk.process] = desk.sample, looks + 1 if desk.sample == at else 0
            if desk.sample != NOTHING and self._waited[desk.process][1] * LOOK > limit:
                os.kill(desk.process, signal.SIGKILL)
                raise stalled(name(desk.sample), limit)


def stalled(name: str, limit: float) -> JobError:
    """What is wrong, with the remedy."""
    return JobError(
        f"{one_line_path(name)}: was not read within {limit:g} s (read_timeout); "
        "is its file system there and reachable? Run again when it is, or raise read_timeout where it is only slow"
    )
