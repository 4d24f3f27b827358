"""Jobs as rows: what decides each of them, and its numbers."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.comparing import numbers, settings
from launcher.comparing.data import Digests
from launcher.comparing.numbers import Wanted
from launcher.runs.folder import RunFolder
from locat.contract import records


@dataclass(frozen=True)
class Row:
    """One job, or several that differ in their seed only."""

    about: dict[str, str]
    """`run`, `job` and `status`, as recorded in the run's folder."""
    settings: dict[str, Any]
    """What decides its result: `launcher.comparing.settings`."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What a metric's column is called -> value."""
    started: float = 0.0
    """Unix time of its latest attempt's start; 0 before the first."""
    identity: str = ""
    """The same of jobs that compute the same."""
    but_for_seeds: str = ""
    """The same of jobs that compute the same but for seeds."""

    @property
    def task(self) -> Hashable:
        """What kind of job it is: jobs of one task have the same keys."""
        return settings.plain(self.settings.get("task"))


def read_rows(run: RunFolder, wanted: Sequence[Wanted], for_seeds: bool, damaged: list[str]) -> Iterator[Row]:
    """The jobs of a run; `damaged` gets the logs of metrics of which a line could not be read.

    Raises:
        UserError: a file of the run is not what it should be.
    """
    plan = run.plan()
    with records.intact(run.path / "plan.json"):
        decided = settings.by_group(plan)
        digests = Digests(run, plan)
        data = {job.name: digests.read_by(job) for job in plan.jobs} if for_seeds else {}
        exact = settings.identities(plan, data) if for_seeds else {}
        but_for_seeds = settings.identities(plan, data, settings.SEED) if for_seeds else {}
    for job in plan.jobs:
        state = run.state(job.name)
        log = run.job(job.name).metrics
        found = numbers.read(log, wanted)
        if found.is_damaged:
            damaged.append(str(log))
        yield Row(
            about={"run": run.name, "job": job.name, "status": state.status if state.attempt else ""},
            settings=decided[job.name],
            metrics=found.values,
            started=state.started or 0.0,
            identity=exact.get(job.name, ""),
            but_for_seeds=but_for_seeds.get(job.name, ""),
        )


def with_numbers(rows: Iterable[Row]) -> list[Row]:
    """The rows of those tasks of which any job has a number: not what converts data, or compares others."""
    known = list(rows)
    tasks = {row.task for row in known if row.metrics}
    return [row for row in known if row.task in tasks]
