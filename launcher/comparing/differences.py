"""What differs between two runs, or two jobs: code, config, environment, data, images, and where their losses part."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from launcher.comparing import code, settings
from launcher.comparing.data import Digests
from launcher.comparing.parting import Parting, parting
from launcher.comparing.settings import plain
from launcher.plan import Plan, PlannedJob
from launcher.runs.find import find, find_job
from launcher.runs.folder import RunFolder
from locat.contract import records
from locat.contract.errors import UserError
from locat.contract.flatten import flatten
from locat.contract.source import NAME, Machine

SECTIONS = ("code", "config", "environment", "data", "image")
INSTALLED = "installed"
"""Packages: of `environment`, where both sides tell of them."""
Facts = dict[str, dict[str, Any]]
"""Section, or `INSTALLED` -> what is said of it, by keys."""


@dataclass(frozen=True)
class Side:
    """One of the two: a run, or a job of one."""

    run: RunFolder
    plan: Plan
    job: str = ""
    """Empty for a whole run."""

    @classmethod
    def find(cls, runs: Path, reference: str) -> "Side":
        """What `RUN` or `RUN/JOB` is.

        Raises:
            UserError: there is no such run or job, or its plan cannot be read.
        """
        name, slash, job = reference.partition("/")
        run = find(runs, name or None)
        plan = run.plan()
        return cls(run, plan, find_job(plan, job) if slash else "")

    @property
    def name(self) -> str:
        return f"{self.run.name}/{self.job}" if self.job else self.run.name


@dataclass
class Difference:
    """One thing that is not the same."""

    key: str
    a: Any
    """None: there is none."""
    b: Any
    jobs: list[str] = field(default_factory=list)
    """Jobs of which that is so; empty if it is of the whole run, or if jobs were named."""


@dataclass
class Differences:
    """All that differs."""

    sections: dict[str, list[Difference]]
    """Each of `SECTIONS` -> what differs; in the order of keys."""
    has_code: tuple[bool, bool]
    """Whether it is recorded which code the runs' jobs ran."""
    only_a: list[str]
    """Jobs that only this run has."""
    only_b: list[str]
    losses: dict[str, Parting]
    """Job -> where its numbers part from those of the other."""


def differences(a: Side, b: Side) -> Differences:
    """What differs between two runs, job by job of the same name, or between two jobs.

    Raises:
        UserError: one is a run and the other a job, or a file of a run is damaged.
    """
    if bool(a.job) != bool(b.job):
        raise UserError(f"{a.name} and {b.name}: a run and a job; name two runs, or two jobs as RUN/JOB")
    of_a, of_b = _Recorded(a), _Recorded(b)
    pairs = [(a.job, b.job)] if a.job else [(name, name) for name in of_a.jobs if name in of_b.jobs]
    sections: dict[str, list[Difference]] = {name: [] for name in SECTIONS}
    sections["environment"] += _unequal({"backend": a.plan.backend}, {"backend": b.plan.backend})
    has_a = has_b = False
    known: dict[tuple[object, ...], Difference] = {}
    for one, other in pairs or [("", "")]:  # without a job in common there is still the runs' code
        facts_a, facts_b = of_a.facts(one), of_b.facts(other)
        for section, each in _apart(facts_a, facts_b):
            same = known.setdefault((section, each.key, plain(each.a), plain(each.b)), each)
            same.jobs += [one] if one and not a.job else []
            sections[section] += [each] if same is each else []
        has_a, has_b = has_a or bool(facts_a["code"]), has_b or bool(facts_b["code"])
    return Differences(
        sections,
        has_code=(has_a, has_b),
        only_a=[] if a.job else [name for name in of_a.jobs if name not in of_b.jobs],
        only_b=[] if a.job else [name for name in of_b.jobs if name not in of_a.jobs],
        losses={one: parting(a.run.job(one).metrics, b.run.job(other).metrics) for one, other in pairs},
    )


class _Recorded:
    """What there is to say of one side's jobs: by sections, and `INSTALLED`."""

    def __init__(self, side: Side) -> None:
        self.jobs = {job.name: job for job in side.plan.jobs}
        self._side = side
        self._source = code.recorded(side.run)
        self._digests = Digests(side.run, side.plan)

    def facts(self, name: str) -> Facts:
        """Of a job; of the code that jobs run that begin now, where none is named."""
        machine = Machine.read(self._side.run.job(name)) if name else None
        with records.intact(self._side.run.path / NAME):
            ran = code.of_job(self._source, machine)
            found = {"code": code.facts(self._side.run, ran), INSTALLED: code.installed(ran)}
        return {**found, **self._planned(self.jobs[name], machine)} if name else found

    def _planned(self, job: PlannedJob, machine: Machine | None) -> Facts:
        """What its plan says of a job, and where it ran."""
        run = self._side.run
        with records.intact(run.path / "plan.json"):
            place = {"host": run.state(job.name).host or None}
            if machine is not None:
                place |= {"cpu": machine.cpu or None, "gpus": ", ".join(machine.gpus) or None}
            resources = {f"resources.{key}": value for key, value in asdict(job.resources).items()}
            options = {f"options.{key}": value for key, value in flatten(job.options)}
            storage = {f"storage.{each.mount}": each.claim or each.path or str(each.source) for each in job.storage}
            variables = {f"env.{key}": value for key, value in job.environment.items()}
            return {
                "config": settings.by_name(self._side.plan, job),
                "environment": {**variables, **resources, **options, **storage, **place},
                "data": {**self._digests.read_by(job), **self._digests.made_by(job)},
                "image": {"image": job.image or None},
            }


def _apart(a: Facts, b: Facts) -> Iterator[tuple[str, Difference]]:
    """What differs, each with its section; packages where both sides tell of them."""
    is_same_code = a["code"].get("digest") == b["code"].get("digest")
    if a[INSTALLED] and b[INSTALLED]:
        yield from (("environment", each) for each in _unequal(a[INSTALLED], b[INSTALLED]))
    for section in (name for name in SECTIONS if name in a):
        for each in _unequal(a[section], b[section]):
            if not (section == "code" and is_same_code and each.key.startswith(code.PATCH)):
                yield section, each


def _unequal(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*a, *b)):
        if plain(a.get(key)) != plain(b.get(key)):
            yield Difference(key, a.get(key), b.get(key))
