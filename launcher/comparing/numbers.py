"""Numbers of jobs, from the ends of their metrics.jsonl: what was recorded last is found without reading the rest."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from launcher.runs.regular import opened
from locat.contract import records
from locat.contract.errors import UserError
from locat.contract.metric_record import Record, in_line
from locat.contract.records import FormatError

BLOCK = 1 << 15
"""Bytes that are read at once, from the end on: some fifty records."""
LONGEST_LINE = 1 << 24
"""Bytes; what has no line end for longer is no log of metrics."""
SECTION = "/*"
"""Ends the name of a whole section of metrics."""
WORDS = ("last", "best", "largest", "smallest")


@dataclass(frozen=True)
class Wanted:
    """A metric to be shown, and which of its values."""

    name: str
    """Of a metric, or `SECTION/*`: all metrics of a section that the last record of any of them has."""
    when: str | int = "last"
    """One of `WORDS`, or a step."""

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """What `NAME` or `NAME@WHEN` asks for.

        Raises:
            UserError: a section, of which there is only the last record, with another WHEN.
        """
        found = re.fullmatch(rf"(.+)@({'|'.join(WORDS)}|\d{{1,18}})", text)
        name, when = (found[1], found[2]) if found else (text, "last")
        if name.endswith(SECTION) and when != "last":
            raise UserError(f"{text}: of a whole section there is only the last record; name a metric of it")
        return cls(name, int(when) if when.isdecimal() else when)

    @property
    def label(self) -> str:
        """What its column is called."""
        return self.name if self.when == "last" else f"{self.name}@{self.when}"

    @property
    def beginning(self) -> str:
        """What the labels of all that is found begin with."""
        return self.label.removesuffix("*") if self.is_section else self.label

    def takes(self, label: str) -> bool:
        """Whether a number that was found is its."""
        return label.startswith(self.beginning) if self.is_section else label == self.label

    @property
    def is_section(self) -> bool:
        return self.name.endswith(SECTION)

    @property
    def is_smallest(self) -> bool:
        """Whether small values are the good ones; `best` takes losses for such."""
        return self.when == "smallest" or (self.when == "best" and "loss" in self.name)


DEFAULT = (Wanted("val/*"), Wanted("train/loss"))
"""Shown if nothing is named: the last evaluation, and the last loss of training."""


@dataclass(frozen=True)
class Numbers:
    """What was found of one job."""

    values: dict[str, float] = field(default_factory=dict)
    """Label -> value, in the order of what was wanted."""
    is_damaged: bool = False
    """Whether a line could not be read; others could."""


def read(path: Path, wanted: Iterable[Wanted]) -> Numbers:
    """The wanted numbers in a metrics.jsonl, as far as they are recorded; none without the file, which is not read
    where nothing is wanted.

    Raises:
        FormatError: it is no log of metrics.
    """
    searches = [_Search(each) for each in wanted]
    log = Log(path)
    for record in log.newest_first(each.needle for each in searches) if searches else ():
        for search in searches:
            search.look(record)
        if all(search.is_over for search in searches):
            break
    found = {label: value for search in searches for label, value in search.found.items()}
    return Numbers(found, log.is_damaged)


class _Search:
    """One wanted metric, looked for from the newest record to the oldest."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.found: dict[str, float] = {}
        self.is_over = False
        self.needle = wanted.beginning if wanted.is_section else wanted.name

    def look(self, record: Record) -> None:
        """Take what a record has of it."""
        wanted = self.wanted
        if self.is_over:
            return
        if wanted.is_section:
            self.found = {name: value for name, value in record.metrics.items() if name.startswith(self.needle)}
            self.is_over = bool(self.found)
        elif wanted.name in record.metrics:
            value = record.metrics[wanted.name]
            if isinstance(wanted.when, int):
                self.found = {wanted.label: value} if record.step == wanted.when else {}
                self.is_over = record.step <= wanted.when  # the steps of a metric only grow
            elif wanted.when == "last":
                self.found, self.is_over = {wanted.label: value}, True
            else:
                choose = min if wanted.is_smallest else max
                values = [*self.found.values(), value]
                self.found = {wanted.label: choose((each for each in values if each == each), default=value)}


class Log:
    """A metrics.jsonl, read from its end. It may grow meanwhile: a line without its end is left alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_damaged = False
        """Whether a line was left out that is no record."""

    def newest_first(self, needles: Iterable[str]) -> Iterator[Record]:
        """Its records, but for those that have none of the needles in any metric's name; none without the file.

        Raises:
            FormatError: it is no log of metrics.
        """
        try:
            with records.intact(self.path), opened(self.path) as file:
                sought = [in_line(needle) for needle in needles]
                for line in _lines_backwards(file):
                    if any(needle in line for needle in sought):
                        try:
                            record = Record.from_line(line)
                        except ValueError:
                            self.is_damaged = True
                        else:
                            yield record
        except FileNotFoundError:
            return
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read ({error.strerror or error})") from error


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """Complete lines, the last one first."""
    position = file.seek(0, os.SEEK_END)
    begun = b""
    """What was read of a line, but for its beginning."""
    is_complete = False
    """Whether a line end was seen after it."""
    while position:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        begun, *lines = (file.read(size) + begun).split(b"\n")
        if lines and not is_complete:
            lines.pop()  # after the last line end: nothing, or a line that is being written
            is_complete = True
        yield from reversed(lines)
        if len(begun) > LONGEST_LINE:
            raise ValueError(f"a line is longer than {LONGEST_LINE} bytes")
    if is_complete and begun:
        yield begun
