"""metrics.jsonl: every metric of a job, on the disk before anybody else hears of it."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """Metrics of one step, as one line of the file."""

    step: int
    time: float
    """Unix time in seconds."""
    metrics: dict[str, float]


class MetricLog:
    """Appends records durably; what is already there is never written twice.

    A resumed job goes through steps again that were logged before it died. They come out
    the same, so the first record of a (metric, step) is kept and later ones are dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_step: dict[str, int] = {}
        intact = 0
        for record, end in read_records(path, 0):
            self._last_step.update(dict.fromkeys(record.metrics, record.step))
            intact = end
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(intact)  # a line torn by a kill

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record `metrics` at `step`, fsynced on return."""
        fresh = {key: value for key, value in metrics.items() if step > self._last_step.get(key, -1)}
        if not fresh:
            return
        self._last_step.update(dict.fromkeys(fresh, step))
        line = json.dumps({"step": step, "time": time.time(), "metrics": fresh}) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def read_records(path: Path, offset: int) -> Iterator[tuple[Record, int]]:
    """Complete records from byte `offset` on, each with the offset of the next one."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield Record(**json.loads(line)), offset
