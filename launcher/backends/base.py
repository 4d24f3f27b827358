"""What a backend does."""

from abc import ABC, abstractmethod
from collections.abc import Collection

from launcher.plan import Plan
from launcher.run_folder import RunFolder


class Backend(ABC):
    """Renders plans for a scheduler that already exists, and speaks to it about runs."""

    @abstractmethod
    def render(self, plan: Plan) -> str:
        """The text that `submit` hands to the scheduler, and nothing else is handed over."""

    @abstractmethod
    def check(self, plan: Plan) -> None:
        """Raise UserError if the plan can never run here; called before anything is created."""

    @abstractmethod
    def start(self, run: RunFolder) -> None:
        """Make the scheduler run what can run; nothing happens if it does already."""

    @abstractmethod
    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        """End the running attempts of these jobs: ask, and kill after `grace` seconds. Returns when they are dead."""
