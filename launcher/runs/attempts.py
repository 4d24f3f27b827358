"""When each attempt of a job began and ended: attempt.json in its folder. state.json knows the latest one alone."""

import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from launcher.runs.state import LAST_MOMENT, JobState, Status
from locat.contract import durable, records
from locat.contract.job_folder import JobFolder

FORMAT = 1


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt, as its runner recorded it."""

    started: float
    """Unix time."""
    queued: float | None = None
    """Unix time at which the attempt before it ended, or the job was asked for again; None of a job's first."""
    ended: float | None = None
    """Unix time; None while it lives, and of one that was killed with its runner."""
    seconds: float | None = None
    """How long it took, by a clock that nobody sets; None as long as it has no end."""

    @classmethod
    def read(cls, attempt: Path) -> "AttemptRecord | None":
        """What is recorded, in a newer format too; None of an attempt of an older version, or where it is damaged."""
        try:
            record = records.built(cls, records.read_object(_file(attempt)))
            numbers = (record.started, record.queued or 0.0, record.ended or 0.0, record.seconds or 0.0)
            if not all(math.isfinite(number) and 0 <= number < LAST_MOMENT for number in numbers):
                return None
            return record
        except (OSError, ValueError, TypeError, OverflowError):
            return None

    def write(self, attempt: Path) -> None:
        """Replace what is recorded. Where that cannot be written, as on a full disk, the job goes on without."""
        with suppress(OSError):
            durable.write_json(_file(attempt), records.numbered(asdict(self), FORMAT))

    def ending_now(self, seconds: float) -> "AttemptRecord":
        """The same with its end."""
        return replace(self, ended=time.time(), seconds=seconds)


def queued_since(job: JobFolder, earlier: JobState) -> float | None:
    """Since when the next attempt of a job could have begun, as far as its state tells; None before a first one."""
    if earlier.status is not Status.RUNNING and earlier.ended is not None:
        return earlier.ended
    with suppress(OSError):
        return job.state.stat().st_mtime  # when it was queued by hand; one that died without an end was begun then
    return None


def _file(attempt: Path) -> Path:
    return attempt / "attempt.json"
