"""Where runs are scheduled: one file or folder per backend behind `Backend`."""

from collections.abc import Sequence

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


def look_all(runs: Sequence[RunFolder]) -> list[RunView]:
    """Runs as they are now, in the same order; each scheduler is asked once."""
    plans = [(run, run.plan()) for run in runs]
    views: dict[str, RunView] = {}
    for name, backend in BACKENDS.items():
        mine = [(run, plan) for run, plan in plans if plan.backend == name]
        views.update({run.name: view for (run, _), view in zip(mine, backend.look_all(mine), strict=True)})
    return [views[run.name] for run in runs]
