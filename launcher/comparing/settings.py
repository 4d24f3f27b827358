"""What decides a job's result, in words that are the same in every run: nothing of it names the run's folder."""

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from launcher.plan import Plan, PlannedJob
from locat.contract.flatten import flatten

SEED = "seed"
"""Key of every config that draws random numbers."""
AXES = "matrix."
"""Begins the keys of a job's values of matrix axes."""
UNDECIDING = "tracking"
"""Key of a config that changes nothing of the result."""


def by_group(plan: Plan) -> dict[str, dict[str, Any]]:
    """Job -> its config by dotted keys, then its matrix.

    The folder of another job is named as the pipeline names that job: instances of a matrix that each read the outputs
    of their own instance of another do not differ in that.
    """
    groups = {job.name: job.group for job in plan.jobs}
    return {job.name: _settings(plan, job, groups) for job in plan.jobs}


def by_name(plan: Plan, job: PlannedJob) -> dict[str, Any]:
    """The same of one job, with the names of instances."""
    return _settings(plan, job, {})


def identities(plan: Plan, data: Mapping[str, Mapping[str, str]], *ignored: str) -> dict[str, str]:
    """Job -> a digest of all that decides its result, and the results of those that it reads.

    Jobs that compute the same have the same one, in any run. Keys that are `ignored` decide nothing, upstream neither.
    `data` has the digests of the datasets that each job reads: the same config may have been given other images.
    """
    found: dict[str, str] = {}

    def named(path: str) -> object:
        return _at(path, lambda name: found.get(name, name))

    for job in plan.jobs:  # topological order: what a job reads comes before it
        config = {key: value for key, value in job.config.items() if key not in (UNDECIDING, *ignored)}
        decisive = _replaced([config, job.environment, job.image, data[job.name]], f"{plan.folder}/", named)
        found[job.name] = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return found


def plain(value: Any) -> Hashable:
    """What tells a value from JSON from others: numbers by their size, lists by what is in them; true is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", value)
    return (type(value).__name__, value) if isinstance(value, Hashable) else ("", repr(value))


def _settings(plan: Plan, job: PlannedJob, groups: dict[str, str]) -> dict[str, Any]:
    config = {key: value for key, value in job.config.items() if key != UNDECIDING}
    here = _replaced(config, f"{plan.folder}/", lambda path: _at(path, lambda name: groups.get(name, name)))
    assert isinstance(here, dict), "a mapping stays one"
    return {**dict(flatten(here)), **{f"{AXES}{axis}": value for axis, value in job.matrix.items()}}


def _at(path: str, named: Callable[[str], str]) -> str:
    """A path in the run's folder, with another name for the job whose folder it is in."""
    parts = path.split("/", 2)
    if len(parts) > 1 and parts[0] == "jobs":
        parts[1] = named(parts[1])
    return "/".join(parts)


def _replaced(value: object, folder: str, named: Callable[[str], object]) -> object:
    """`value` with what `named` makes of each path in the folder, relative to it."""
    match value:
        case str():
            return named(value.removeprefix(folder)) if value.startswith(folder) else value
        case list():
            return [_replaced(each, folder, named) for each in value]
        case dict():
            return {key: _replaced(each, folder, named) for key, each in value.items()}
    return value
