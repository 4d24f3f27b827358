"""How far running jobs are."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """Content of progress.json, as the job last wrote it."""

    phase: str
    done: int
    total: int
    unit: str
    rate: float
    """Units per second."""
    updated: float
    """Unix time."""

    @property
    def eta(self) -> float | None:
        """Seconds to the end of the phase; None as long as there is no rate."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        eta = f", {clock(self.eta)} left" if self.eta is not None else ""
        return f"{self.phase} {self.done}/{self.total} {self.unit}, {self.rate:.3g}/s{eta}"


def read(path: Path, since: float | None) -> Progress | None:
    """The progress in `path`, unless there is none or it is older than `since` (of an earlier attempt)."""
    try:
        progress = Progress(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # not durable: it may be cut short by a power failure
        return None
    return progress if since is None or progress.updated >= since else None


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
