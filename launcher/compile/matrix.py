"""Matrices: the instances of each job, and which instances of two jobs belong together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.compile.combinations import Axes, Report, combinations

MAX_JOBS = 5_000
MAX_NAME = 63
"""Characters in a job's name, as schedulers bound them."""


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
            products = [len(values) for axis, values in axes.items() if axis not in ("include", "exclude")]
            count = math.prod(products) + len(axes.get("include", ()))
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
    if not axes:
        return [Instance(job, job, {}, {})]
    return [
        Instance(
            name="-".join((job, *(slug for slug, _ in chosen.values()))),
            job=job,
            matrix={axis: value for axis, (_, value) in chosen.items()},
            slugs={axis: slug for axis, (slug, _) in chosen.items()},
        )
        for chosen in combinations(("jobs", job, "matrix"), axes, report)
    ]
