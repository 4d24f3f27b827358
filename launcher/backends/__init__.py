"""Where runs are scheduled: one file or folder per backend behind `Backend`."""

from launcher.backends.base import Backend
from launcher.backends.local import LocalBackend
from launcher.backends.slurm import SlurmBackend
from launcher.plan import Plan
from launcher.run_folder import RunFolder
from launcher.status import RunView

BACKENDS: dict[str, Backend] = {"local": LocalBackend(), "slurm": SlurmBackend()}
"""Every backend by the name `--backend` takes."""


def look(run: RunFolder, plan: Plan) -> RunView:
    """The run as it is now, on the backend it was submitted to."""
    return BACKENDS[plan.backend].look(run, plan)
