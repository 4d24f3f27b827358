"""What a backend does."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from launcher.plan import Plan
from launcher.run_folder import RunFolder
from launcher.status import RunView


class Backend(ABC):
    """Renders plans for a scheduler that already exists, and speaks to it about runs."""

    poll: float
    """Seconds between two looks of somebody who looks on: how often its scheduler likes to be asked."""

    @abstractmethod
    def render(self, plan: Plan) -> str:
        """The text that `submit` hands to the scheduler, and nothing else is handed over."""

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

    @abstractmethod
    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        """End the running attempts of these jobs: ask, and kill after `grace` seconds. Returns when they are dead."""
