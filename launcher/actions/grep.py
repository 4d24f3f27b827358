"""Lines of the logs of a run's jobs that match a pattern.

The pattern is a regular expression, and logs are anybody's: some expressions take for ever on some lines. So matching
is given so much computing and no more. Of a log little is in memory, however long its lines are.
"""

import os
import re
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from launcher.actions.wait import views
from launcher.attempt.run import LAUNCH_LOG, last_attempt
from launcher.backends import BACKENDS
from launcher.backends.base import NoLogYetError
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.regular import opened
from locat.contract.errors import UserError
from locat.contract.job_folder import JobFolder, rank_logs
from locat.contract.names import one_line

BLOCK = 1 << 20
"""Bytes that are read and matched at once; a longer line is taken for several."""
PATIENCE = 5.0
"""Seconds of computing that matching a block may take; mostly it takes milliseconds."""


class Pattern:
    """A regular expression."""

    def __init__(self, text: str) -> None:
        """Raises UserError where it is none."""
        self.text = text
        try:
            with warnings.catch_warnings(action="ignore"):  # of what a later Python may understand otherwise
                self._search = re.compile(text).search
        except (re.error, RecursionError, OverflowError) as error:
            raise UserError(
                f"--grep '{one_line(text)}' is no regular expression ({error}); before a character that stands for"
                " itself, such as ( [ * + or ?, put a backslash"
            ) from None

    def matching(self, lines: Sequence[str]) -> list[str]:
        """Those of the lines in which it is found.

        Raises:
            UserError: it takes too long.
        """
        with self._bounded():
            return [line for line in lines if self._search(line)]

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Computing of this process ends inside once it takes longer than `PATIENCE`: `re` looks for signals."""

        def end(*_: object) -> NoReturn:
            raise UserError(
                f"--grep '{one_line(self.text)}' takes too long on what is in these logs: such as (a+)+, it can match"
                " a line in too many ways; make it simpler"
            )

        before = signal.signal(signal.SIGVTALRM, end)
        signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)


@dataclass(frozen=True)
class Wanted:
    """Which logs are searched."""

    jobs: Sequence[str]
    """Names."""
    rank: int | None = None
    """None: of all ranks, and what the command itself printed."""
    attempt: int | None = None
    """None: the latest of each job."""
    all_attempts: bool = False


class Search:
    """Lines of logs that match, each with its job before it."""

    def __init__(self, run: RunFolder, plan: Plan, pattern: Pattern, wanted: Wanted) -> None:
        self.searched: set[str] = set()
        """Jobs that have a log."""
        self.unread: dict[Path, str] = {}
        """Logs that cannot be read, and why."""
        self._run, self._plan, self._pattern, self._wanted = run, plan, pattern, wanted
        self._positions: dict[Path, int] = {}
        self._first: dict[str, int] = {}
        """The first attempt of a job that is searched."""

    def lines(self, follow: bool) -> Iterator[str]:
        """What there is, and with `follow` also what comes until the run has ended.

        Raises:
            UserError: the pattern takes too long, or not all that is wanted can be had of the backend.
        """
        if not (theirs := self._of_backend(follow)):
            for _ in views(self._run, self._plan) if follow else ():
                yield from self._new(is_over=False)
            yield from self._new(is_over=True)
        for name, lines in theirs.items():
            for line in lines:
                yield from (f"{name}: {found}" for found in self._pattern.matching([line.rstrip("\r\n")]))

    def _of_backend(self, follow: bool) -> dict[str, Iterator[str]]:
        """Logs by their jobs where they are not in the run's folder."""
        wanted, found = self._wanted, {}
        for name in wanted.jobs:
            with suppress(NoLogYetError):
                lines = BACKENDS[self._plan.backend].log(self._run, name, wanted.rank, wanted.attempt, follow)
                if lines is not None:
                    found[name] = lines
        self.searched.update(found)
        if found and wanted.all_attempts:
            raise UserError(f"{self._plan.backend} has the logs of latest attempts only; leave --all-attempts out")
        if len(found) > 1 and follow:
            raise UserError(f"logs of {self._plan.backend} are followed one at a time: name one of {', '.join(found)}")
        return found

    def _new(self, is_over: bool) -> Iterator[str]:
        """What was not looked at yet; if nothing more is written, a line without its end is one."""
        for name in self._wanted.jobs:
            for log, label in self._logs(self._run.job(name)).items():
                self.searched.add(name)
                for lines in self._new_lines(log, is_over):
                    yield from (f"{label}: {line}" for line in self._pattern.matching(lines))

    def _logs(self, job: JobFolder) -> dict[Path, str]:
        """The logs there are of a job, each with what stands before its lines."""
        wanted, last = self._wanted, last_attempt(job)
        first = 1 if wanted.all_attempts else self._first.setdefault(job.name, max(last, 1))
        found = {}
        for number in [wanted.attempt] if wanted.attempt else range(first, last + 1):
            folder = job.attempt(number)
            name = f"{job.name} attempt {number}" if wanted.all_attempts else job.name
            if wanted.rank is None and (folder / LAUNCH_LOG).exists():
                found[folder / LAUNCH_LOG] = name
            for log, rank in sorted(rank_logs(folder).items(), key=lambda item: item[1]):
                if wanted.rank in (None, rank):
                    found[log] = f"{name} rank {rank}" if rank else name
        return found

    def _new_lines(self, log: Path, is_over: bool) -> Iterator[list[str]]:
        try:
            with opened(log) as file:
                size = os.fstat(file.fileno()).st_size  # a job that goes on writing is not run after
                while True:
                    position = self._positions.get(log, 0)
                    file.seek(position)
                    block = file.read(max(0, min(BLOCK, size - position)))
                    end = block.rfind(b"\n") + 1
                    if not end and (is_over or len(block) == BLOCK):
                        end = len(block)
                    if not end:
                        return
                    self._positions[log] = position + end
                    text = block[:end].decode(errors="surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
                    yield text.removesuffix("\n").split("\n")
        except OSError as error:
            self.unread[log] = error.strerror or str(error)
        except ValueError as error:
            self.unread[log] = str(error)
