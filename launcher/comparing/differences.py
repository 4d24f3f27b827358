"""What differs between two runs, or two jobs: code, config, environment, data, images, and where their losses part."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from launcher.comparing import settings
from launcher.comparing.data import Digests
from launcher.comparing.parting import Parting, parting
from launcher.comparing.settings import plain
from launcher.plan import Plan, PlannedJob
from launcher.runs.find import find, find_job
from launcher.runs.folder import RunFolder
from locat.contract import records
from locat.contract.errors import UserError
from locat.contract.flatten import flatten

SECTIONS = ("code", "config", "environment", "data", "image")
SOURCE = "source.json"
"""In a run's folder: which code its jobs ran. Not every run has one."""


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
    jobs_a, jobs_b = ({job.name: job for job in side.plan.jobs} for side in (a, b))
    pairs = [(a.job, b.job)] if a.job else [(name, name) for name in jobs_a if name in jobs_b]
    source_a, source_b = _source(a.run), _source(b.run)
    sections: dict[str, list[Difference]] = {name: [] for name in SECTIONS}
    code_a, code_b = _code(a.run, source_a), _code(b.run, source_b)
    if code_a.get("digest") == code_b.get("digest"):  # each run has a file of its own of the same patch
        for found in (code_a, code_b):
            for key in [key for key in found if key.startswith("patch of ")]:
                del found[key]
    sections["code"] += _unequal(code_a, code_b)
    sections["environment"] += _unequal({"backend": a.plan.backend}, {"backend": b.plan.backend})
    if source_a is not None and source_b is not None:
        sections["environment"] += _unequal(_packages(a.run, source_a), _packages(b.run, source_b))
    data_a, data_b = Digests(a.run, a.plan), Digests(b.run, b.plan)
    losses = {}
    known: dict[tuple[object, ...], Difference] = {}
    for one, other in pairs:
        facts_a, facts_b = _facts(a, data_a, jobs_a[one]), _facts(b, data_b, jobs_b[other])
        for section in facts_a:
            for each in _unequal(facts_a[section], facts_b[section]):
                same = known.setdefault((section, each.key, plain(each.a), plain(each.b)), each)
                same.jobs += [] if a.job else [one]
                sections[section] += [each] if same is each else []
        losses[one] = parting(a.run.job(one).metrics, b.run.job(other).metrics)
    return Differences(
        sections,
        has_code=(source_a is not None, source_b is not None),
        only_a=[] if a.job else [name for name in jobs_a if name not in jobs_b],
        only_b=[] if a.job else [name for name in jobs_b if name not in jobs_a],
        losses=losses,
    )


def _unequal(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*a, *b)):
        if plain(a.get(key)) != plain(b.get(key)):
            yield Difference(key, a.get(key), b.get(key))


def _facts(side: Side, digests: Digests, job: PlannedJob) -> dict[str, dict[str, Any]]:
    """What there is to say of a job, by sections."""
    with records.intact(side.run.path / "plan.json"):
        machine = {"host": side.run.state(job.name).host or None}
        resources = {f"resources.{key}": value for key, value in asdict(job.resources).items()}
        options = {f"options.{key}": value for key, value in flatten(job.options)}
        storage = {f"storage.{each.mount}": each.claim or each.path or str(each.source) for each in job.storage}
        variables = {f"env.{key}": value for key, value in job.environment.items()}
        return {
            "config": settings.by_name(side.plan, job),
            "environment": {**variables, **resources, **options, **storage, **machine},
            "data": {**digests.read_by(job), **digests.made_by(job)},
            "image": {"image": job.image or None},
        }


def _code(run: RunFolder, source: dict[str, Any] | None) -> dict[str, Any]:
    """Which code a run's jobs ran, as far as it is recorded."""
    found = {"digest": source.get("digest")} if source else {}
    with records.intact(run.path / SOURCE):
        for origin in source.get("origins", ()) if source else ():
            of = " and ".join(origin.get("modules", ()))
            found |= {f"{key} of {of}": origin.get(key) or None for key in ("commit", "branch", "note")}
            patch = origin.get("patch")
            found[f"patch of {of}"] = str(run.path / Path(patch).name) if patch else None
    return found


def _packages(run: RunFolder, source: dict[str, Any]) -> dict[str, Any]:
    """Python and what was installed beside it, as recorded with the code."""
    with records.intact(run.path / SOURCE):
        packages = {f"package {name}": version for name, version in source.get("installed", {}).items()}
    return {"python": source.get("python"), "requirements.lock": source.get("lock") or None, **packages}


def _source(run: RunFolder) -> dict[str, Any] | None:
    """What is recorded of the code; None if nothing is."""
    with records.intact(run.path / SOURCE):
        try:
            return records.read_object(run.path / SOURCE)
        except FileNotFoundError:
            return None
