"""Cores and GPUs as slots: a file lock each, so that all runs of this machine share them without asking anyone.

A job takes all that it needs at once, or nothing: who holds some while it waits for more can wait for ever. Who got
nothing stands in line for what it lacked, and nobody who came later takes of that: small jobs cannot pass a large
one for ever, and two runs take turns. A ticket of the line is a lock too: of who dies nothing stays.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from launcher import locks, machine
from launcher.plan import Resources
from locat.contract import private
from locat.contract.errors import UserError


@dataclass(frozen=True)
class Slots:
    """Slots that are ours while the descriptors are open anywhere."""

    gpus: tuple[str, ...]
    """As CUDA_VISIBLE_DEVICES takes them."""
    descriptors: tuple[int, ...]

    def close(self) -> None:
        """Let go of them; whom they were passed on to keeps them."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@dataclass(frozen=True)
class Ticket:
    """A place in line for one kind of slots; it is in the name of the file, the earliest is the smallest.

    Its time is that of the machine's monotonic clock, which all processes share and nobody sets."""

    job: str
    since: int
    path: Path
    descriptor: int

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


@dataclass
class Counter:
    """Where one run takes slots for its jobs. Of a kind it stands in line once, for the job that came first."""

    tickets: dict[str, Ticket] = field(default_factory=dict)
    """By kind of slots."""

    def take(self, job: str, resources: Resources) -> Slots | None:
        """Slots for a job; None if it is not its turn, or there are not enough.

        A job that wants more cores than the machine has gets all of them. GPUs it must have.
        """
        kinds = ("core", "gpu") if resources.gpus else ("core",)
        tickets = [ticket for kind, ticket in self.tickets.items() if kind in kinds]
        since = next((ticket.since for ticket in self.tickets.values() if ticket.job == job), 0) or time.monotonic_ns()
        if any(ticket.since < since for ticket in tickets):
            return None  # of a thousand jobs that wait all but one end here
        assert resources.gpus <= len(machine.gpus()), "it would wait for ever"
        counts = {"core": min(resources.cpus, machine.cores()), "gpu": resources.gpus}
        wanted = {kind: counts[kind] for kind in kinds}
        with _alone() as alone:
            taken = {kind: _take(kind, count, since) for kind, count in wanted.items()} if alone else {}
        slots = [slot for found in taken.values() if found for slot in found]
        lacking = [kind for kind in wanted if not taken.get(kind)]
        for kind in lacking:
            self._stand_in_line(kind, job, since)
        if lacking:
            for _, descriptor in slots:
                os.close(descriptor)
            return None
        self._leave([ticket for ticket in self.tickets.values() if ticket.job == job])
        return Slots(tuple(name for name, _ in taken.get("gpu") or ()), tuple(descriptor for _, descriptor in slots))

    def forget_all_but(self, jobs: Collection[str]) -> None:
        """Leave the line for jobs that are not to be started any more."""
        self._leave([ticket for ticket in self.tickets.values() if ticket.job not in jobs])

    def _stand_in_line(self, kind: str, job: str, since: int) -> None:
        if kind in self.tickets:
            if self.tickets[kind].job == job:
                return
            self._leave([self.tickets[kind]])  # it came later
        path = _line(kind) / f"{since:020}-{os.getpid()}"
        hidden = path.with_name(f".{path.name}")
        hidden.parent.mkdir(exist_ok=True)
        descriptor = locks.acquire(hidden, patience=0)
        if descriptor is not None:
            os.rename(hidden, path)  # it is seen by others only once it is held
            self.tickets[kind] = Ticket(job, since, path, descriptor)

    def _leave(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            ticket.close()
        self.tickets = {kind: ticket for kind, ticket in self.tickets.items() if ticket not in tickets}


def folder() -> Path:
    """Where the locks are; a machine's own, since homes are often shared by many."""
    given = os.environ.get("LOCAT_SLOTS_DIR")
    return Path(given) if given else private.base() / "slots" / machine.identity().replace(" ", "-")


def check() -> None:
    """See that slots can be taken.

    Raises:
        UserError: why they cannot.
    """
    try:
        _line("core").mkdir(parents=True, exist_ok=True)
        with _alone():
            pass
    except OSError as error:
        raise UserError(
            f"{folder()}: {error.strerror}; jobs of this machine share its cores by locks in there:"
            " name a folder of yours by LOCAT_SLOTS_DIR"
        ) from error


@contextlib.contextmanager
def _alone() -> Iterator[bool]:
    """While nobody else takes slots: else two could each find that the other has some, and both go without."""
    folder().mkdir(parents=True, exist_ok=True)
    lock = locks.acquire(folder() / "lock")
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _take(kind: str, count: int, since: int) -> list[tuple[str, int]] | None:
    """Names and locks of `count` free slots; None if there are not as many, or somebody came before `since`."""
    if _is_awaited(kind, since):
        return None
    taken: list[tuple[str, int]] = []
    locks_folder = folder()
    for name in machine.gpus() if kind == "gpu" else map(str, range(machine.cores())):
        if len(taken) == count:
            break
        descriptor = locks.acquire(locks_folder / f"{kind}-{name.replace('/', '_')}.lock", patience=0)
        if descriptor is not None:
            taken.append((name, descriptor))
    if len(taken) == count:
        return taken
    for _, descriptor in taken:
        os.close(descriptor)
    return None


def _is_awaited(kind: str, since: int) -> bool:
    """Whether somebody living stands in line since before. The tickets of the dead are swept away."""
    with contextlib.suppress(FileNotFoundError):
        for ticket in sorted(_line(kind).glob("[0-9]*")):
            if int(ticket.name.partition("-")[0]) >= since:
                return False
            if locks.is_held(ticket):
                return True
            ticket.unlink(missing_ok=True)
    return False


def _line(kind: str) -> Path:
    return folder() / f"{kind}s-awaited"
