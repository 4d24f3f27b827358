"""progress.json: how far the running task of a job is. The job writes it every second, the launcher shows it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import records

FORMAT = 1


@dataclass(frozen=True)
class ProgressRecord:
    """How far a task is, as its job last said."""

    phase: str
    done: int
    """Units finished, of `total`."""
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

    @classmethod
    def read(cls, file: Path) -> "ProgressRecord | None":
        """What a file says, of a newer format too; None without a file, or with one that a power failure cut short."""
        try:
            return records.built(cls, records.read_object(file))
        except (FileNotFoundError, ValueError):
            return None

    def write(self, file: Path) -> None:
        """Replace what the file says. Not durable on purpose: after a crash nobody needs it."""
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(records.numbered(asdict(self), FORMAT)))
        os.replace(temporary, file)
