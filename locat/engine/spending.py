"""What an attempt's training spends its time on, told to usage.json as it goes (locat/contract/usage.py)."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from locat.contract.job_folder import JobFolder
from locat.contract.outcome import attempt_folder
from locat.contract.usage import COMPUTING, IDLE, REPEATED, WORK, UsageRecord

INTERVAL = 10.0
"""Seconds between two writes; a kill loses what came after the last one but for its length."""


class Spending:
    """A clock that always runs for one phase, from the moment it is made until it is closed.

    It computes unless it is told otherwise. Times are the host's: a GPU may compute while the host waits for data.
    """

    def __init__(self, job: JobFolder, step: int, is_main: bool) -> None:
        """`step`: where this attempt begins. Only the main rank tells."""
        self._attempt = attempt_folder() if is_main else None
        self._earlier = _earlier(job, self._attempt)
        self._step, self._reached = step, max((record.step for record in self._earlier), default=0)
        self._phase = COMPUTING
        self._seconds = dict.fromkeys((*WORK, IDLE), 0.0)
        self._since = self._written = time.monotonic()
        self._write()

    @contextmanager
    def on(self, phase: str, is_long: bool = False) -> Iterator[None]:
        """What is inside is `phase`, also within another one. One that is long is told when it begins."""
        outer = self._switch(phase)
        if is_long:
            self._write()
        try:
            yield
        finally:
            self._switch(outer)

    def at(self, step: int) -> None:
        """Say that so many steps are done."""
        self._switch(self._phase)  # what it took belongs to the steps before
        self._step = step
        if time.monotonic() >= self._written + INTERVAL:
            self._write()

    def metrics(self) -> dict[str, float]:
        """Seconds of the whole job until now, earlier attempts with it, by what it worked at."""
        self._switch(self._phase)
        of_all = [self._seconds, *(record.seconds for record in self._earlier)]
        return {f"usage/{phase}_seconds": math.fsum(seconds[phase] for seconds in of_all) for phase in WORK}

    @property
    def _told(self) -> str:
        """The phase as it is counted."""
        return REPEATED if self._step < self._reached and self._phase != IDLE else self._phase

    def _switch(self, phase: str) -> str:
        """Let the clock run for `phase` from now on; what it ran for until now."""
        now = time.monotonic()
        self._seconds[self._told] += now - self._since
        self._since = now
        before, self._phase = self._phase, phase
        return before

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._attempt is not None:
            work = {phase: self._seconds[phase] for phase in WORK}
            with suppress(OSError):  # such as a full disk: what is only counted must not end the work
                UsageRecord(self._step, work, self._told, time.time()).write(self._attempt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._switch(IDLE)
        self._write()


def _earlier(job: JobFolder, attempt: Path | None) -> list[UsageRecord]:
    """What the earlier attempts of the job have told."""
    if attempt is None:
        return []
    told = (UsageRecord.read(folder) for folder in job.attempts.glob("[0-9]*") if folder.name != attempt.name)
    return [record for record in told if record]
