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
    asked: float | None = None
    """Unix time at which a user asked for it (`launcher retry`); None where it was a scheduler's turn."""
    ended: float | None = None
    """Unix time; None while it lives, and of one that was killed with its runner."""
    seconds: float | None = None
    """How long it took, by a clock that nobody sets; None as long as it has no end."""

    @classmethod
    def read(cls, attempt: Path) -> "AttemptRecord | None":
        """What is recorded, in a newer format too; None of an attempt of an older version, or where it is damaged."""
        try:
            record = records.built(cls, records.read_object(_file(attempt)))
            numbers = (record.started, record.asked or 0.0, record.ended or 0.0, record.seconds or 0.0)
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


def asked_for(job: JobFolder, state: JobState) -> float | None:
    """When a user asked for a job's next attempt, whose state this is: `retry` was the last to write it, then."""
    with suppress(OSError):
        return job.state.stat().st_mtime if state.status is Status.QUEUED else None
    return None


def _file(attempt: Path) -> Path:
    return attempt / "attempt.json"
