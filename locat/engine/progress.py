"""How far a long piece of work is: a bar on a terminal, plain lines in a log, progress.json for the launcher."""

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tqdm import tqdm

from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.contract.progress import ProgressRecord

logger = logging.getLogger(__name__)

FILE_INTERVAL = 1.0  # seconds between two writes of progress.json
LINE_INTERVAL = 15.0  # seconds between two lines in a log


class Progress:
    """Counts `unit`s done of `total` in one `phase` of a job; only the main rank should show one."""

    def __init__(
        self,
        job: JobFolder,
        phase: str,
        total: int,
        unit: str,
        done: int = 0,
        shown: bool = True,
        memory: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        """`memory`: bytes that are held of the GPU's memory, and that it has; asked once a second."""
        self.job, self.phase, self.total, self.unit = job, phase, total, unit
        self._memory = memory
        self.done = self._first = done
        self._shown = shown
        self._fence = Fence.here()
        self._is_silent = False
        self._started = time.monotonic()
        self._last_file = self._last_line = self._started
        on_terminal = shown and sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, desc=phase, unit=unit, disable=not on_terminal)

    def advance_to(self, done: int) -> None:
        """Say that `done` units are finished in all."""
        self._bar.update(done - self.done)
        self.done = done
        now = time.monotonic()
        if self._shown and now - self._last_file >= FILE_INTERVAL:
            self._last_file = now
            self._write_file()
        if self._shown and self._bar.disable and now - self._last_line >= LINE_INTERVAL:
            self._last_line = now
            self._write_line()

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return (self.done - self._first) / max(time.monotonic() - self._started, 1e-9)

    def _write_file(self) -> None:
        now = ProgressRecord(self.phase, self.done, self.total, self.unit, self.rate, time.time(), *self._memory())
        try:
            if not self._fence.reason():
                now.write(self.job.progress)
        except OSError as error:  # such as a full disk; what is only shown must not end the work
            if not self._is_silent:
                logger.warning("progress.json cannot be written (%s): the launcher shows no progress", error.strerror)
            self._is_silent = True

    def _write_line(self) -> None:
        left = (self.total - self.done) / self.rate if self.rate else float("inf")
        counted = f"{self.phase}: {self.done}/{self.total} {self.unit}"
        logger.info("%s, %.1f/s, %.0f s left", counted, self.rate, left)

    def __enter__(self) -> Self:
        if self._shown:
            self._write_file()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write_file()
            if self._bar.disable:
                self._write_line()
        self._bar.close()


def watched(progress: Progress) -> Callable[[int], None]:
    """Says how many are done; Superseded once a newer attempt of the job has begun."""
    fence = Fence.here()

    def advance_to(done: int) -> None:
        progress.advance_to(done)
        if fence.notices():
            fence.check()

    return advance_to
