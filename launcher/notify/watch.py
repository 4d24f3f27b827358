"""Beside a job's command: whether it comes no further, and whether a metric is what somebody waits for."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from launcher.notify import notice
from launcher.notify.condition import Condition
from launcher.notify.start import start
from launcher.plan import Event, PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.progress import described
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.contract.metric_record import Record
from locat.contract.progress import ProgressRecord

LOOK = 5.0
"""Seconds between two looks."""
LAST_LOOK = 1.0
"""Seconds that the end of a command waits for the last one."""
BLOCK = 1 << 20
"""Bytes of metrics that are read at once."""


@dataclass
class Watch:
    """What was seen of a job since an attempt of it began."""

    run: RunFolder
    job: PlannedJob
    attempt: int
    at: int = 0
    """How much of metrics.jsonl was read."""
    seen: object = None
    """What tells how far it is."""
    since: float = field(default_factory=time.monotonic)
    """When it was first seen so."""

    def look(self) -> bool:
        """Note what has happened; whether there is anything new."""
        if Fence(self.folder.attempt(self.attempt)).reason():
            return False
        return any([*self._met(), *self._stalled()])

    @property
    def folder(self) -> JobFolder:
        return self.run.job(self.job.name)

    def _open(self, kind: str, occasion: int | str = "") -> list[tuple[str, Event]]:
        """Events of a kind that were not noted yet, each with its name."""
        return [
            (name, event)
            for number, notification in enumerate(self.job.notify)
            for index, event in enumerate(notification.on)
            if event.kind == kind
            and not notice.is_noted(self.folder.notify, name := notice.name_of(number, index, event, occasion))
        ]

    def _stalled(self) -> Iterator[bool]:
        progress = ProgressRecord.read(self.folder.progress)
        seen = (progress.phase, progress.done) if progress else _sizes(self.folder.attempt(self.attempt))
        if seen != self.seen:
            self.seen, self.since = seen, time.monotonic()
        for name, event in self._open("stalled", self.attempt):
            if time.monotonic() >= self.since + event.minutes * 60:
                where = f": {described(progress)}" if progress else ""
                notice.note(self.folder.notify, name, f"no progress for {event.minutes:g} min{where}")
                yield True

    def _met(self) -> Iterator[bool]:
        waiting = {name: Condition.parse(event.condition) for name, event in self._open("metric")}
        for record in self._new() if waiting else ():
            for name in [name for name, condition in waiting.items() if condition.is_met(record)]:
                notice.note(self.folder.notify, name, waiting.pop(name).said_of(record))
                yield True

    def _new(self) -> Iterator[Record]:
        """Records that were written since the last look."""
        with suppress(FileNotFoundError), self.folder.metrics.open("rb") as file:
            if file.seek(0, 2) < self.at:  # a line that was cut short by a power cut is gone
                self.at = 0
            file.seek(self.at)
            while block := file.read(BLOCK):
                block += file.readline()
                for line in block.splitlines(keepends=True):
                    if not line.endswith(b"\n"):
                        return
                    self.at += len(line)
                    with suppress(ValueError):
                        yield Record.from_line(line)


def _sizes(attempt: Path) -> Sequence[int]:
    """Of the logs, by which a job that says nothing of its progress is heard."""
    return [file.stat().st_size for file in sorted(attempt.glob("*.log"))]


@contextmanager
def watching(run: RunFolder, job: PlannedJob, attempt: int) -> Iterator[None]:
    """While a job's command runs: have told what happens to it."""
    if not any(event.kind in ("stalled", "metric") for each in job.notify for event in each.on):
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(Watch(run, job, attempt), over), daemon=True)
    with suppress(RuntimeError):  # a machine without room for a thread: the job runs all the same
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.is_alive():
            thread.join(LAST_LOOK)  # a file system that hangs holds nobody up


def _watch(watch: Watch, over: threading.Event) -> None:
    has_news = True  # an earlier attempt may have left some
    while True:
        with suppress(OSError):  # it is looked again
            if has_news:
                start(watch.run)
            if over.wait(LOOK):
                watch.look()  # the end of the attempt tells it
                return
            has_news = watch.look()
