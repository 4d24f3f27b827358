"""Where runs are scheduled. Only this file knows which backends there are; each is imported when it is used.

A package that is installed beside this one adds a backend by two entry points (docs/extend/backend.md):
`locat.backends` names its `Backend`, `locat.backend_options` what a pipeline may say to it, if anything.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.backends.base import Backend
from launcher.plan import Plan
from launcher.runs.errors import RunDeletedError
from launcher.runs.folder import RunFolder
from launcher.runs.state import Observation
from launcher.runs.status import RunView, unanswered
from locat.contract import plugins
from locat.contract.errors import UserError
from locat.contract.problems import known_words
from locat.contract.records import FormatError

if TYPE_CHECKING:
    from launcher.language.words import BackendOptions


class UnknownBackendError(UserError):
    """No backend of this name is installed."""


class Backends(plugins.Registry[Backend]):
    """Every backend by the name `--backend` takes."""

    def __getitem__(self, name: str) -> Backend:
        try:
            return super().__getitem__(name)
        except KeyError:
            known = known_words(name, self)
            raise UnknownBackendError(
                f"no backend {name!r} on this machine; install the package that has it{known}"
            ) from None

    def trouble(self, name: str) -> str:
        """Why a backend cannot be used here; empty if it can."""
        try:
            self[name]
        except UserError as error:
            return str(error)
        return ""


def _made(found: object) -> Backend:
    return plugins.subclass_of(Backend)(found)()  # type: ignore[type-abstract]


def _with_defaults(found: object) -> "type[BackendOptions]":
    from launcher.language.words import BackendOptions  # with pydantic, which most verbs do without

    options = plugins.subclass_of(BackendOptions)(found)
    options()  # every key has a default, or else a pipeline for another backend would have to name it
    return options


BACKENDS = Backends(
    "locat.backends",
    {
        "local": "launcher.backends.local.backend:LocalBackend",
        "debug": "launcher.backends.local.debug:DebugBackend",
        "slurm": "launcher.backends.slurm.backend:SlurmBackend",
        "kubernetes": "launcher.backends.kubernetes.backend:KubernetesBackend",
    },
    _made,
)
OPTIONS: "plugins.Registry[type[BackendOptions]]" = plugins.Registry(
    "locat.backend_options",
    {
        "slurm": "launcher.backends.slurm.options:SlurmOptions",
        "kubernetes": "launcher.backends.kubernetes.options:KubernetesOptions",
    },
    _with_defaults,
)
"""What a pipeline may say under `options.NAME`, of the backends that have options."""


def look(run: RunFolder, plan: Plan) -> RunView:
    """The run as it is now, on the backend it was submitted to."""
    return BACKENDS[plan.backend].look(run, plan)


def look_all(runs: Sequence[RunFolder]) -> tuple[list[RunView], list[str]]:
    """Runs as they are now, in the same order, and why some are not among them: `look_each` without their folders."""
    views, unreadable = look_each(runs)
    return list(views.values()), unreadable


def look_each(runs: Sequence[RunFolder]) -> tuple[dict[RunFolder, RunView], list[str]]:
    """Runs as they are now, in the same order, and why some are not among them; each scheduler is asked once.

    Runs of a backend that cannot be used here are shown as they were last recorded, those deleted meanwhile not at all.
    """
    plans, unreadable = [], []
    for run in runs:
        try:
            plans.append((run, run.plan()))
        except RunDeletedError:
            continue
        except FormatError as error:
            unreadable.append(str(error))
    views: dict[str, RunView] = {}
    for name in dict.fromkeys(plan.backend for _, plan in plans):
        mine = [(run, plan) for run, plan in plans if plan.backend == name]
        try:
            views.update(_views(name, mine))
        except FormatError:  # of one of them a state cannot be read
            for one in mine:
                try:
                    views.update(_views(name, [one]))
                except FormatError as error:
                    unreadable.append(str(error))
    return {run: views[run.name] for run, _ in plans if run.name in views and run.exists()}, unreadable


def _views(backend: str, runs: Sequence[tuple[RunFolder, Plan]]) -> dict[str, RunView]:
    """Runs of one backend by their names."""
    if trouble := BACKENDS.trouble(backend):
        found = [
            unanswered(run, plan, {job.name: Observation(run.state(job.name)) for job in plan.jobs}, trouble)
            for run, plan in runs
        ]
    else:
        found = BACKENDS[backend].look_all(runs)
    return {run.name: view for (run, _), view in zip(runs, found, strict=True)}
