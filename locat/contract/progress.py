"""progress.json: how far the running task of a job is. The job writes it every second, the launcher shows it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import records

FORMAT = 1
MOST = 1e15
"""Above it no count is one."""


@dataclass(frozen=True)
class ProgressRecord:
    """How far a task is, as its job last said."""

    phase: str
    done: int
    """Units finished, of `total`."""
    total: int
    unit: str
    rate: float = 0.0
    """Units per second; 0 where it is not known."""
    updated: float = 0.0
    """Unix time."""
    gpu_memory: float = 0.0
    """Bytes that the main rank has held at most of its GPU's memory; 0 without a GPU, and of older versions."""
    gpu_memory_total: float = 0.0
    """Bytes of memory that this GPU has."""

    @property
    def eta(self) -> float | None:
        """Seconds to the end of the phase; None as long as there is no rate that tells them."""
        seconds = (self.total - self.done) / self.rate if self.rate > 0 else -1.0
        return seconds if 0 <= seconds <= MOST else None

    @classmethod
    def read(cls, file: Path) -> "ProgressRecord | None":
        """What a file says, of a newer format too; None without a file, with one that a power failure cut short, or
        with anything else that the program of a job has put there."""
        try:
            record = records.built(cls, records.read_object(file))
        except (OSError, ValueError, RecursionError):
            return None
        return record if record._is_of_its_types else None

    @property
    def _is_of_its_types(self) -> bool:
        numbers = (self.done, self.total, self.rate, self.updated, self.gpu_memory, self.gpu_memory_total)
        return all(isinstance(text, str) for text in (self.phase, self.unit)) and all(map(_is_number, numbers))

    def write(self, file: Path) -> None:
        """Replace what the file says. Not durable on purpose: after a crash nobody needs it."""
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(records.numbered(asdict(self), FORMAT)))
        os.replace(temporary, file)


def _is_number(value: object) -> bool:
    """Whether it is a number that can be shown and counted with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST
