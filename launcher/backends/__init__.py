"""Where runs are scheduled: one file or folder per backend behind `Backend`."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from launcher.backends.base import Backend
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView

_CLASSES = {"local": "LocalBackend", "slurm": "SlurmBackend", "kubernetes": "KubernetesBackend"}


class Backends(Mapping[str, Backend]):
    """Every backend by the name `--backend` takes; imported when it is used."""

    @cache  # noqa: B019  there is one mapping
    def __getitem__(self, name: str) -> Backend:
        module = importlib.import_module(f"launcher.backends.{name}.backend")
        backend: Backend = getattr(module, _CLASSES[name])()
        return backend

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)

    __hash__ = object.__hash__


BACKENDS = Backends()


def look(run: RunFolder, plan: Plan) -> RunView:
    """The run as it is now, on the backend it was submitted to."""
    return BACKENDS[plan.backend].look(run, plan)


def look_all(runs: Sequence[RunFolder]) -> list[RunView]:
    """Runs as they are now, in the same order; each scheduler is asked once."""
    plans = [(run, run.plan()) for run in runs]
    views: dict[str, RunView] = {}
    for name in dict.fromkeys(plan.backend for _, plan in plans):
        mine = [(run, plan) for run, plan in plans if plan.backend == name]
        views.update({run.name: view for (run, _), view in zip(mine, BACKENDS[name].look_all(mine), strict=True)})
    return [views[run.name] for run in runs]
