"""metrics.jsonl: every metric of a job, on the disk before anybody else hears of it."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO

from locat.contract import durable
from locat.contract.fence import Fence
from locat.contract.metric_record import Record

logger = logging.getLogger(__name__)


NOTHING = Record(-1, 0.0, {})
"""What a damaged line says."""


class MetricLog:
    """Appends records durably; what is already there is never written twice.

    A resumed job goes through steps again that were logged before it died. They come out
    the same, so the first record of a (metric, step) is kept and later ones are dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fence = Fence.here()
        self._last_step: dict[str, int] = {}
        intact = 0
        for record, end in read_records(path, 0):
            self._last_step.update(dict.fromkeys(record.metrics, record.step))
            intact = end
        # A new file, without a line torn by a kill: an earlier attempt that lives on has the old one.
        durable.write_bytes(path, path.read_bytes()[:intact] if intact else b"")
        self._own = path.stat()

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record `metrics` at `step`, fsynced on return; nothing once a newer attempt keeps the log."""
        fresh = {key: value for key, value in metrics.items() if step > self._last_step.get(key, -1)}
        if not fresh:
            return
        self._last_step.update(dict.fromkeys(fresh, step))
        with self.path.open("ab") as file:
            if self._fence.reason() or not os.path.samestat(os.fstat(file.fileno()), self._own):
                return
            file.write(Record(step, time.time(), fresh).to_line())
            file.flush()
            os.fsync(file.fileno())


def read_records(path: Path, offset: int) -> Iterator[tuple[Record, int]]:
    """Complete records from byte `offset` on, each with the offset of the next one.

    A damaged line is named in the log and comes as `NOTHING`: one point is lost, not those after it. An
    offset at which no line begins belongs to a file that is no more; all of this one is read then.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        if not _begins_line(file, offset):
            _warn(path, f"replaced or cut: no line begins at byte {offset}; it is read from its start")
            offset = 0
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                record = Record.from_line(line)
            except ValueError:
                _warn(path, f"the line at byte {offset} is damaged; its metrics are lost")
                record = NOTHING
            offset += len(line)
            yield record, offset


@cache
def _warn(path: Path, what: str) -> None:
    """Once, however often the file is read."""
    logger.warning("%s: %s", path, what)


def _begins_line(file: BinaryIO, offset: int) -> bool:
    if offset == 0:
        return True
    file.seek(offset - 1)
    return file.read(1) == b"\n"
