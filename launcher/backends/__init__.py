"""Where runs are scheduled. Only this file knows which backends there are; each is imported when it is used.

A package that is installed beside this one adds a backend by two entry points (docs/extend/backend.md):
`locat.backends` names its `Backend`, `locat.backend_options` what a pipeline may say to it, if anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from launcher.backends.base import Backend
from launcher.language.problems import known_words
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.state import Observation
from launcher.runs.status import RunView, unanswered
from locat.contract import plugins
from locat.contract.errors import UserError

if TYPE_CHECKING:
    from launcher.language.words import BackendOptions

Kind = TypeVar("Kind")


class UnknownBackendError(UserError):
    """No backend of this name is installed."""


class Registry(Mapping[str, Kind], Generic[Kind]):
    """Name -> what it stands for: built in, or an entry point of another package. A built-in name cannot be taken."""

    group: ClassVar[str]
    """Of the entry points."""
    built_in: ClassVar[Mapping[str, str]]
    """Name -> `module:object`."""

    def checked(self, found: object) -> Kind:
        """What the registry holds, made of what was imported; raises TypeError for what is of no use."""
        raise NotImplementedError

    @cache  # noqa: B019  there are two registries
    def __getitem__(self, name: str) -> Kind:
        if name in self.built_in:
            return self.checked(resolve_name(self.built_in[name]))
        try:
            return plugins.load(self.group, name, self.checked)
        except KeyError:
            known = known_words(name, self)
            raise UnknownBackendError(
                f"no backend {name!r} on this machine; install the package that has it{known}"
            ) from None

    def __contains__(self, name: object) -> bool:
        """Whether the name is known; imports nothing, and asks for other packages only if it is not built in."""
        return name in self.built_in or name in plugins.names(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.built_in, *plugins.names(self.group)]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    __hash__ = object.__hash__


class Backends(Registry[Backend]):
    """Every backend by the name `--backend` takes."""

    group = "locat.backends"
    built_in: ClassVar = {
        "local": "launcher.backends.local.backend:LocalBackend",
        "slurm": "launcher.backends.slurm.backend:SlurmBackend",
        "kubernetes": "launcher.backends.kubernetes.backend:KubernetesBackend",
    }

    def checked(self, found: object) -> Backend:
        if not (isinstance(found, type) and issubclass(found, Backend)):
            raise TypeError("not a subclass of launcher.backends.base.Backend")
        return found()

    def trouble(self, name: str) -> str:
        """Why a backend cannot be used here; empty if it can."""
        try:
            self[name]
        except UserError as error:
            return str(error)
        return ""


class OptionModels(Registry["type[BackendOptions]"]):
    """What a pipeline may say under `options.NAME`, of the backends that have options."""

    group = "locat.backend_options"
    built_in: ClassVar = {
        "slurm": "launcher.backends.slurm.options:SlurmOptions",
        "kubernetes": "launcher.backends.kubernetes.options:KubernetesOptions",
    }

    def checked(self, found: object) -> "type[BackendOptions]":
        from launcher.language.words import BackendOptions  # with pydantic, which most verbs do without

        if not (isinstance(found, type) and issubclass(found, BackendOptions)):
            raise TypeError("not a subclass of launcher.language.words.BackendOptions")
        found()  # every key has a default, or else a pipeline for another backend would have to name it
        return found


BACKENDS = Backends()
OPTIONS = OptionModels()


def look(run: RunFolder, plan: Plan) -> RunView:
    """The run as it is now, on the backend it was submitted to."""
    return BACKENDS[plan.backend].look(run, plan)


def look_all(runs: Sequence[RunFolder]) -> list[RunView]:
    """Runs as they are now, in the same order; each scheduler is asked once.

    Runs of a backend that cannot be used here are shown as they were last recorded.
    """
    plans = [(run, run.plan()) for run in runs]
    views: dict[str, RunView] = {}
    for name in dict.fromkeys(plan.backend for _, plan in plans):
        mine = [(run, plan) for run, plan in plans if plan.backend == name]
        if trouble := BACKENDS.trouble(name):
            found = [
                unanswered(run, plan, {job.name: Observation(run.state(job.name)) for job in plan.jobs}, trouble)
                for run, plan in mine
            ]
        else:
            found = BACKENDS[name].look_all(mine)
        views.update({run.name: view for (run, _), view in zip(mine, found, strict=True)})
    return [views[run.name] for run in runs]
