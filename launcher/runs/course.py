"""How a job's metrics have gone until now, from a metrics.jsonl that may be long and grows while it is read.

What one look reads is bounded, and so is what is kept. Of a long file the first look takes pieces that lie evenly
over it, and its end; each further look takes what was added since.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from launcher.runs.regular import opened
from locat.contract.metric_record import Record, in_line

PIECES, PIECE = 16, 1 << 15
"""How many pieces are read of what is long, and bytes of each: some sixty records."""
END = 1 << 19
"""Bytes that are read of its end; of a metric that is rarer than once in them the last value may be missed."""
MOST_READ = PIECES * PIECE + END
"""Bytes that one look reads at most, but for a byte a piece."""
MOST_KEPT = 512
"""Points that are kept of one metric."""

Point = tuple[int, float]
"""A step, and the metric's value there."""


class Course:
    """Metrics of one job, step by step. `look` again for what has come since."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        """`names`: of metrics; of those that end in `/` the first one in the file whose name begins so."""
        self._path = path
        self._names = tuple(names)
        self._needles = [in_line(name) for name in self._names]
        self._file = (0, 0)
        """Device and number of the file that was read."""
        self._position = 0
        """Up to where everything was read that will be: a line begins there, or one that is too long goes on."""
        self._points: dict[str, list[Point]] = {}
        self._found: dict[str, str] = {}
        """Name that is asked for -> the metric's whole name."""

    def of(self, name: str) -> tuple[str, list[Point]]:
        """The metric's whole name, and its points by growing step."""
        found = self._found.get(name, name)
        return found, self._points.get(found, [])

    def look(self) -> None:
        """Read what has come. A line that is being written is left for the next time; what is no record counts for
        nothing, and without a file that can be read there is nothing."""
        with suppress(OSError, ValueError), opened(self._path) as file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != self._file or status.st_size < self._position:
                self._position, self._points, self._found = 0, {}, {}  # another file, or it was cut by a power failure
                self._file = (status.st_dev, status.st_ino)
            new = status.st_size - self._position
            if new > MOST_READ:
                begin = self._position
                for number in range(PIECES):
                    self._read(file, begin + number * ((new - END) // PIECES), PIECE)
                self._position = status.st_size - END
                new = END
            self._position = self._read(file, self._position, new)

    def _read(self, file: BinaryIO, position: int, size: int) -> int:
        """Take the lines that begin in `size` bytes from `position` on and end there; where the rest begins."""
        before = min(1, position)  # the byte before tells whether a line begins here
        file.seek(position - before)
        data = file.read(size + before)
        begin = data.find(b"\n") + 1 if before else 0
        end = data.rfind(b"\n") + 1
        if before and not end:
            return position + size  # in the midst of a line that is longer than all this
        for line in data[begin:end].split(b"\n"):
            if any(needle in line for needle in self._needles):
                with suppress(ValueError):
                    self._take(Record.from_line(line))
        return position - before + end

    def _take(self, record: Record) -> None:
        for name in self._names:
            whole = self._found.get(name) or next((each for each in record.metrics if _is_meant(name, each)), "")
            if not whole or whole not in record.metrics:
                continue
            self._found[name] = whole
            points = self._points.setdefault(whole, [])
            if points and record.step <= points[-1][0]:
                continue  # read before, in a piece
            points.append((record.step, record.metrics[whole]))
            if len(points) > MOST_KEPT:
                self._points[whole] = _thinned(points)


def _thinned(points: list[Point]) -> list[Point]:
    """The first point of each equal part of the steps, half as many as are kept, and the last of all."""
    first, last = points[0][0], points[-1][0]
    parts: dict[int, Point] = {}
    for point in points[:-1]:
        parts.setdefault((point[0] - first) * (MOST_KEPT // 2) // (last - first), point)
    return [*parts.values(), points[-1]]


def _is_meant(name: str, metric: str) -> bool:
    return metric.startswith(name) if name.endswith("/") else metric == name
