"""What there is to tell of a run, by its folder, and what of it was told already.

An event of a job or a run has a name, and in the folder `notify` of the job or the run up to three files of that name:

NAME.noticed  of stalled and metric: when, and the reason; what ends is told by state.json
NAME.claim    somebody tells it, or has: made before the first byte of a message leaves, and never removed
NAME.json     what became of that

So a message leaves once at most, whatever is killed when, and what nobody has claimed is told by whoever looks next.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from launcher.plan import Event, Notification
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import JobView, RunView
from locat.contract import clock, durable, records

FORMAT = 1
"""Of NAME.noticed and NAME.json."""
PATIENCE = 60.0
"""Seconds after which a claim without a result is its maker's no more: whoever made it was killed."""
KILLED = "who told it was killed meanwhile; it may have arrived"


class ClaimedError(Exception):
    """Another process tells this."""


@dataclass(frozen=True)
class Notice:
    """An event that was to be told by one way."""

    notification: Notification
    event: Event
    folder: Path
    """`notify` of the job or the run."""
    name: str
    """Of its files."""
    job: JobView | None = None
    """Whose event it is; None: the run's."""
    reason: str = ""

    def claim(self) -> None:
        """See that nobody else tells it; from here on it is not told again.

        Raises:
            ClaimedError: somebody has told it, or does.
            OSError: that cannot be recorded.
        """
        make(self.folder)
        try:
            os.close(os.open(self._claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            raise ClaimedError from None
        durable.sync_folder(self.folder)

    @property
    def is_claimed(self) -> bool:
        return self._claim.exists()

    def end(self, trouble: str) -> None:
        """Record what became of it; `trouble` is empty if it was told."""
        make(self.folder)
        values = {"delivered": not trouble, "trouble": trouble, "time": time.time()}
        durable.write_json(self.folder / f"{self.name}.json", records.numbered(values, FORMAT))

    @property
    def trouble(self) -> str:
        """Why it was not told, or may not have been; empty as long as there is nothing to say."""
        with suppress(OSError, ValueError):
            return str(records.read_object(self.folder / f"{self.name}.json").get("trouble", ""))
        with suppress(OSError):
            return KILLED if clock.since(self._claim.stat().st_mtime) > PATIENCE else ""
        return ""

    @property
    def _claim(self) -> Path:
        return self.folder / f"{self.name}.claim"


def make(folder: Path) -> None:
    """Make a folder `notify`; of a run that was deleted meanwhile nothing comes back."""
    durable.make_folder(folder, within=folder.parent)


def name_of(number: int, index: int, event: Event, occasion: int | str = "") -> str:
    """Of an event, `index` of notification `number`, and of which time it happened; empty if it happens once."""
    return "-".join(filter(None, (f"{number}.{index}", event.kind, str(occasion))))


def note(folder: Path, name: str, reason: str) -> None:
    """Record an event that state.json does not tell."""
    make(folder)
    values = {"reason": reason, "time": time.time()}
    durable.write_json(folder / f"{name}.noticed", records.numbered(values, FORMAT))


def is_noted(folder: Path, name: str) -> bool:
    return (folder / f"{name}.noticed").exists()


def untold(run: RunFolder, view: RunView) -> list[Notice]:
    """What has happened and nobody has claimed."""
    return [notice for notice in notices(run, view) if not notice.is_claimed]


def troubles(run: RunFolder, view: RunView) -> list[str]:
    """What could not be told, one sentence each."""
    told = (
        (
            f"{notice.job.name if notice.job else 'the run'}: {notice.event.kind}",
            notice.notification.way,
            notice.trouble,
        )
        for notice in notices(run, view)
    )
    return [f"{what} was not told by {way}: {trouble}" for what, way, trouble in told if trouble]


def notices(run: RunFolder, view: RunView) -> Iterator[Notice]:
    """All that has happened, of what is to be told."""
    for job in view.jobs:
        folder = run.job(job.name).notify
        for number, notification in enumerate(job.job.notify):
            for index, event in enumerate(notification.on):
                if event.kind == job.status:
                    name = name_of(number, index, event, _end(job))
                    yield Notice(notification, event, folder, name, job, job.state.reason)
                elif event.kind in ("stalled", "metric"):
                    yield from _noted(folder, name_of(number, index, event), notification, event, job)
    how = _ends_as(view)
    for number, notification in enumerate(view.plan.notify):
        for index, event in enumerate(notification.on):
            if event.kind in how:
                name = name_of(number, index, event, _end(*view.jobs))
                yield Notice(notification, event, run.path / "notify", name, None, _reason(view.jobs))
                break  # one message says both, failed and invalid


def _end(*jobs: JobView) -> str:
    """Which end of theirs it is; the moment tells two apart where a retry came to the second without an attempt."""
    attempts = sum(job.state.attempt for job in jobs)
    moment = max((job.state.ended or 0.0 for job in jobs), default=0.0)
    return f"{attempts}-{moment * 1000:.0f}"


def _noted(folder: Path, begin: str, notification: Notification, event: Event, job: JobView) -> Iterator[Notice]:
    """Of all attempts."""
    for file in sorted(folder.glob(f"{begin}*.noticed")):
        with suppress(OSError, ValueError):
            reason = str(records.read_object(file).get("reason", ""))
            yield Notice(notification, event, folder, file.stem, job, reason)


def _ends_as(view: RunView) -> frozenset[str]:
    """The kinds of events that the end of a run is; none as long as it has none, or of one that a user cancelled."""
    if not view.ended or view.status not in ("done", "failed"):
        return frozenset()
    return frozenset({view.status, *(("invalid",) if view.having([Status.INVALID]) else ())})


def _reason(jobs: Iterable[JobView]) -> str:
    """How the jobs of a run ended, and of the first bad one why."""
    jobs = list(jobs)
    bad = [job for job in jobs if job.status in (Status.FAILED, Status.INVALID)]
    if not bad:
        return f"{len(jobs)} of {len(jobs)} jobs done"
    done = sum(job.status is Status.DONE for job in jobs)
    how = "is invalid" if bad[0].status is Status.INVALID else "has failed"
    return f"{done} of {len(jobs)} jobs done; {bad[0].name} {how}: {bad[0].reason}"
