"""Matrices: the instances of each job, and which instances of two jobs belong together."""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.errors import KeyPath, shown

MAX_JOBS = 5_000
MAX_NAME = 63
"""Characters in a job's name, as schedulers bound them."""

Axes = Mapping[str, Sequence[Any]]
Report = Callable[[KeyPath, str], None]
"""Takes a problem: the key's path and what is wrong with it."""


@dataclass(frozen=True)
class Instance:
    """One job of the plan."""

    name: str
    job: str
    """The pipeline's job it is an instance of."""
    matrix: dict[str, Any]
    """Its value of each axis; empty for a job without a matrix."""
    slugs: dict[str, str]
    """What each value is called."""


class Expansion:
    """The instances of every job, in matrix order."""

    def __init__(self, matrices: Mapping[str, Axes], report: Report) -> None:
        """Expand `matrices`, job name -> axes. What cannot be expanded is reported and left out."""
        self.of: dict[str, list[Instance]] = {}
        self._indices: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], list[Instance]]] = {}
        left = MAX_JOBS
        names: set[str] = set()
        for job, axes in matrices.items():
            count = math.prod(len(values) for values in axes.values())
            left -= count
            if left < 0:
                report(("jobs", job, "matrix"), f"{count:,} instances; a pipeline has at most {MAX_JOBS:,} jobs")
                return
            self.of[job] = _instances(job, axes, report)
            for instance in self.of[job]:
                if instance.name in names:
                    report(("jobs", job), f"two jobs would be called {instance.name!r}; rename one")
                if len(instance.name) > MAX_NAME:
                    remedy = "shorten the job's name or give the matrix values a short `name`"
                    report(("jobs", job), f"{instance.name!r} is longer than {MAX_NAME} characters; {remedy}")
                names.add(instance.name)

    def joined(self, instance: Instance, job: str) -> list[Instance]:
        """The instances of `job` that have this instance's value on every axis the two share."""
        upstream = self.of[job]
        shared = tuple(axis for axis in upstream[0].slugs if axis in instance.slugs)
        if (job, shared) not in self._indices:
            index = self._indices[job, shared] = {}
            for candidate in upstream:
                index.setdefault(tuple(candidate.slugs[axis] for axis in shared), []).append(candidate)
        return self._indices[job, shared].get(tuple(instance.slugs[axis] for axis in shared), [])


def _instances(job: str, axes: Axes, report: Report) -> list[Instance]:
    slugs = {axis: _slugs(("jobs", job, "matrix", axis), values, report) for axis, values in axes.items()}
    if not all(slugs.values()):
        return []
    return [
        Instance(
            name="-".join((job, *chosen)),
            job=job,
            matrix=dict(zip(axes, values, strict=True)),
            slugs=dict(zip(axes, chosen, strict=True)),
        )
        for values, chosen in zip(itertools.product(*axes.values()), itertools.product(*slugs.values()), strict=True)
    ]


def _slugs(path: KeyPath, values: Sequence[Any], report: Report) -> list[str]:
    """What the values of one axis are called in job names; nothing if that was reported to be wrong."""
    slugs: list[str] = []
    valid = True
    for position, value in enumerate(values):
        slug, problem = _slug(value)
        if not problem and slug in slugs:
            problem = f"called {slug!r} like a value before it; use another, or a mapping with its own `name`"
        if problem:
            report((*path, position), problem)
            valid = False
        slugs.append(slug)
    return slugs if valid else []


def _slug(value: Any) -> tuple[str, str]:
    """The name of a matrix value, or else what is wrong with it."""
    called = value.get("name") if isinstance(value, dict) else value
    if isinstance(value, dict) and not isinstance(called, str):
        return "", "a mapping in a matrix needs a `name`, a text that tells it from the others"
    if isinstance(called, list):
        return "", f"expected a single value or a mapping with a `name`, got {shown(called)}"
    if "${" in str(value):
        return "", "a matrix takes no references; refer to it from `config`"
    text = called if isinstance(called, str) else shown(called)
    slug = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")
    return slug, "" if slug else f"no name can be made of {shown(called)}; use letters or digits"
