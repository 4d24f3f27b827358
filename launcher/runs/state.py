"""What is recorded about a job (state.json), and what can be observed of it besides."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from launcher import machine
from locat.contract import durable, records

FORMAT = 1
"""Of state.json."""
LONGEST_PAUSE = 60.0
"""Seconds; the pause between two attempts doubles from 1 s up to this."""
LAST_MOMENT = 1e11
"""Unix time up to which one is believed: in the year 5138, which calendars still take."""


class Status(StrEnum):
    """How a job stands; docs/status.md says what each word means."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INVALID = "invalid"
    PREEMPTED = "preempted"
    LOST = "lost"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobState:
    """Content of state.json; the default is a job that was never attempted."""

    status: Status = Status.QUEUED
    attempt: int = 0
    """Number of the latest attempt; 0 before the first."""
    pid: int | None = None
    """The attempt runner's process, on `host`."""
    exit_code: int | None = None
    reason: str = ""
    started: float | None = None
    """Unix time of the latest attempt's start."""
    ended: float | None = None
    failures: int = 0
    """Counted failures since the job was submitted or last retried by hand."""
    host: str = ""
    """The machine of the latest attempt; empty before the first."""
    machine: str = ""
    """What tells it from others of that name; empty where that is not told."""
    boot: str = ""
    """Which start of that machine it was: after another one none of its processes lives."""
    hasty: int = 0
    """How many attempts in a row were preempted as soon as they had begun (`launcher.attempt.ending.HASTY`)."""

    @property
    def pause(self) -> float:
        """Seconds between the end of the latest attempt and the next one, if there is one.

        What ends at once may do so for ever: it is repeated more and more rarely.
        """
        in_a_row = {Status.FAILED: self.failures, Status.PREEMPTED: self.hasty}.get(self.status, 0)
        return min(2.0 ** min(in_a_row - 1, 10), LONGEST_PAUSE) if in_a_row else 0.0

    @property
    def is_elsewhere(self) -> bool:
        """Whether the latest attempt was another machine's, whose processes are not seen from here."""
        return machine.is_other(self.host, self.machine)

    @classmethod
    def read(cls, path: Path) -> "JobState":
        """The state in `path`; the default if there is none yet.

        Raises:
            FormatError: a newer version wrote it, or it is no state.
        """
        with records.intact(path):
            try:
                values = records.read_object(path)
            except FileNotFoundError:
                return cls()
            records.check_format(values, FORMAT, path)
            return cls.from_json(values)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "JobState":
        """The state that `asdict` made these values of.

        Raises:
            ValueError: it made them of none.
        """
        state = records.built(cls, {**values, "status": Status(values["status"])})
        counts = (state.attempt, state.failures, state.hasty, state.pid or 0, state.exit_code or 0)
        moments = (state.started or 0.0, state.ended or 0.0)
        texts = (state.reason, state.host, state.machine, state.boot)
        if not (_all(counts, int) and _all(moments, (int, float)) and _all(texts, str)):
            raise ValueError("a value is of another type than it should be")
        if not all(0 <= moment < LAST_MOMENT for moment in moments):
            raise ValueError("a moment is none that a clock tells")
        return state

    def write(self, path: Path) -> None:
        """Replace the state in `path`."""
        durable.write_json(path, records.numbered(asdict(self), FORMAT))


def _all(values: Iterable[object], kinds: type | tuple[type, ...]) -> bool:
    return all(isinstance(value, kinds) for value in values)


@dataclass(frozen=True)
class Observation:
    """What the run folder tells about one job at one moment."""

    state: JobState
    alive: bool = False
    """Whether an attempt runs: a process holds the job's lock, or its scheduler says so."""
    cancelled: bool = False
    """Whether the run or this job was cancelled."""
    scheduled: bool = True
    """Whether a scheduler has it, or will take it when its turn comes."""
    final: bool = False
    """Whether its scheduler has given it up: a job that failed is not run again, whatever its retries."""
    unseen: bool = False
    """Whether it may run on another machine, whose locks this one does not see."""
    note: str = ""
    """What there is to say of it besides: by its scheduler, or of where it ran."""
