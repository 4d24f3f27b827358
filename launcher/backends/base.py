"""What a backend does."""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from launcher.backends.checks import Check
from launcher.plan import Plan
from launcher.runs.find import RunError
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView


class NoLogYetError(RunError):
    """A job has not printed anything; it may when it runs."""


class NoAnswerError(RunError):
    """A scheduler was asked and did not answer; it may a moment later."""


class Backend(ABC):
    """Renders plans for a scheduler that already exists, and speaks to it about runs."""

    poll: float
    """Seconds between two looks of somebody who looks on: how often its scheduler likes to be asked."""
    takes_environment: bool = True
    """Whether jobs have the environment of the shell that submits, and secrets with it."""

    @abstractmethod
    def render(self, plan: Plan) -> str:
        """The text that `submit` hands to the scheduler, and nothing else is handed over."""

    @abstractmethod
    def files(self, plan: Plan) -> dict[str, str]:
        """The same as files, by name."""

    @abstractmethod
    def check(self, plan: Plan) -> None:
        """Raise UserError if the plan can never run here; called before anything is created."""

    def notes(self, plan: Plan) -> list[str]:
        """What of the plan has no meaning here, so that a user is not left to find out."""
        return []

    @abstractmethod
    def start(self, run: RunFolder) -> str:
        """Make the scheduler run what can run; nothing happens if it does already. Returns what was done."""

    @abstractmethod
    def look(self, run: RunFolder, plan: Plan) -> RunView:
        """The run as it is now, from its folder and at most one question to the scheduler."""

    def look_all(self, runs: Sequence[tuple[RunFolder, Plan]]) -> list[RunView]:
        """Several runs as they are now, from at most one question to the scheduler."""
        return [self.look(run, plan) for run, plan in runs]

    def checks(self) -> Iterator[Check]:
        """What `launcher doctor` looks at besides this machine."""
        yield from ()

    def adopt(self, runs: Path) -> None:  # noqa: B027
        """Make folders in `runs` for runs that the scheduler knows and this machine does not."""

    def wait(self, run: RunFolder) -> None:
        """Return when a run may look different; at the latest after some seconds."""
        time.sleep(self.poll)

    def log(
        self, run: RunFolder, job: str, rank: int | None, attempt: int | None, follow: bool
    ) -> Iterator[str] | None:
        """Lines of a job's log; None if they are to be read in the run folder.

        Raises:
            NoLogYetError: at once; no line was asked for yet.
        """
        return None

    def forget(self, run: RunFolder, jobs: Collection[str]) -> None:  # noqa: B027
        """Take from the scheduler what it still has of ended jobs that are to be run again."""

    @abstractmethod
    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        """End the running attempts of these jobs: ask, and kill after `grace` seconds. Returns when they are dead."""
