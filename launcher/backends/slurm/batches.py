"""What is handed to Slurm at once: a job, or all instances of a matrix as an array.

Nothing is recorded about what Slurm was handed: its job name says which run and job (or matrix) it is,
and the array index which instance. So any shell finds a run's jobs in the queue.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from launcher.plan import Plan, PlannedJob

MAX_ARRAY = 1000
"""Elements of one array; Slurm's own default limit is one more."""


@dataclass(frozen=True)
class Batch:
    """One call of sbatch."""

    key: str
    """What later batches call it in their dependencies."""
    name: str
    """Name of the job, or of the pipeline job whose instances these are."""
    jobs: tuple[PlannedJob, ...]
    after: tuple[str, ...]
    """Keys of what must be done first."""
    after_same: tuple[str, ...] = ()
    """Keys of arrays of which an element waits for the one of its own index."""

    @property
    def is_array(self) -> bool:
        return len(self.jobs) > 1


def batches(plan: Plan, names: Collection[str], queued: Collection[str] = (), arrays: bool = True) -> list[Batch]:
    """What to hand over so that the jobs called `names` run, in order; jobs in `queued` Slurm has already.

    Other jobs that these need are taken to be done.
    """
    groups: dict[str, list[PlannedJob]] = {}
    for job in plan.jobs:
        groups.setdefault(job.group, []).append(job)
    elements: dict[str, tuple[str, int]] = {}
    awaited = {*names, *queued}
    found: list[Batch] = []
    for group, jobs in groups.items():
        chosen = [job for job in jobs if job.name in names]
        array = _array(group, jobs, groups, elements) if arrays and len(chosen) == len(jobs) else None
        if array:
            elements.update({job.name: (array.key, index) for index, job in enumerate(jobs)})
            found.append(array)
        else:
            found += [Batch(job.name, job.name, (job,), tuple(_waits(job, awaited, elements))) for job in chosen]
    return found


def _waits(job: PlannedJob, awaited: Collection[str], elements: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    for need in job.needs:
        if need in elements:
            key, index = elements[need]
            yield f"{key}[{index}]"
        elif need in awaited:
            yield need


def _array(
    group: str, jobs: list[PlannedJob], groups: Mapping[str, list[PlannedJob]], elements: Mapping[str, tuple[str, int]]
) -> Batch | None:
    """The instances of `group` as an array, unless they wait for what an array cannot say."""
    if not 1 < len(jobs) <= MAX_ARRAY:
        return None
    by_group = [_by_group(job, groups) for job in jobs]
    if any(needs.keys() != by_group[0].keys() for needs in by_group):
        return None
    after: list[str] = []
    after_same: list[str] = []
    for need in by_group[0]:
        upstream = [job.name for job in groups[need]]
        columns = [needs[need] for needs in by_group]
        is_array = upstream[0] in elements
        key = elements[upstream[0]][0] if is_array else ""
        if all(column == upstream for column in columns):
            after += [key] if is_array else upstream
        elif is_array and columns == [[name] for name in upstream]:
            after_same.append(key)
        else:
            return None
    return Batch(f"{group}:all", group, tuple(jobs), tuple(after), tuple(after_same))


def _by_group(job: PlannedJob, groups: Mapping[str, list[PlannedJob]]) -> dict[str, list[str]]:
    """What a job needs, by the pipeline job it is an instance of."""
    needs = set(job.needs)
    found = {group: [each.name for each in jobs if each.name in needs] for group, jobs in groups.items()}
    return {group: names for group, names in found.items() if names}
