"""A plan as text: what `submit --dry-run` shows."""

import math
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import reduce

from launcher.compile.estimate import Estimate, Estimator
from launcher.compile.speed import NOTHING, Range
from launcher.plan import Plan, PlannedJob, Resources

MOST_SHOWN = 8
"""Instances of one pipeline job that are shown; the rest are counted."""


def tree(plan: Plan) -> str:
    """The plan's jobs in the order they can start: what each waits for, occupies and runs."""
    groups: dict[str, list[PlannedJob]] = {}
    for job in plan.jobs:
        groups.setdefault(job.group, []).append(job)
    estimator = Estimator(plan)
    estimates = {job.name: estimator.of(job) for job in plan.jobs}
    lines = [
        f"{plan.run_id}: {plan.description or plan.pipeline}",
        f"folder    {plan.folder}",
        f"tracking  {plan.tracking_uri}, experiment {plan.experiment}",
        f"jobs      {len(plan.jobs)}",
        f"needs     {_total(list(estimates.values()))}",
        *(f"GPUs      {basis}" for basis in dict.fromkeys(each.basis for each in estimates.values()) if basis),
    ]
    group_of = {job.name: job.group for job in plan.jobs}
    for jobs in groups.values():
        for job in jobs[:MOST_SHOWN]:
            lines += _job(job, estimates[job.name], group_of)
        if len(jobs) > MOST_SHOWN:
            lines.append(f"├── ... and {len(jobs) - MOST_SHOWN} more of {jobs[0].group}")
    last = max(index for index, line in enumerate(lines) if line.startswith("├"))
    lines[last:] = [line.replace("├", "└", 1).replace("│", " ", 1) for line in lines[last:]]
    return "\n".join(lines)


def _job(job: PlannedJob, estimate: Estimate, group_of: dict[str, str]) -> Iterator[str]:
    needs = Counter(group_of[need] for need in job.needs)
    one_of = {group_of[need]: need for need in job.needs}
    names = [one_of[group] if count == 1 else f"{count} of {group}" for group, count in needs.items()]
    after = f"  after {', '.join(names)}" if names else ""
    retried = f", {job.retries} {'retry' if job.retries == 1 else 'retries'}" if job.retries else ""
    image = f", in {job.image}" if job.image else ""
    yield f"├── {job.name}{after}"
    yield f"│     {job.config['task']} on {_resources(job.resources)}{image}{retried}{_needed(job, estimate)}"
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in job.environment.items())
    yield f"│     {variables} {shlex.join(job.command)}"


def _resources(resources: Resources) -> str:
    counts = {
        "node": resources.nodes,
        "rank": resources.processes,
        "core": resources.cpus,
        f"{resources.gpu_type} GPU".strip(): resources.gpus,
    }
    nodes, *each = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
    each += [f"{resources.memory / 1024:g} GiB"] if resources.memory else []
    each += [f"up to {resources.time / 60:g} h"] if resources.time else []
    return ", ".join(each) if resources.nodes == 1 else f"{nodes} of {', '.join(each)}"


def _needed(job: PlannedJob, estimate: Estimate) -> str:
    hours = f"; {_hours(estimate.gpu_hours)}" if job.resources.gpus else ""
    return hours + (f"; {_gigabytes(estimate.storage)}" if estimate.storage else "")


def _total(estimates: list[Estimate]) -> str:
    """The sums of what is known, and of how many jobs it is not."""
    hours = reduce(Range.plus, (each.gpu_hours for each in estimates if each.gpu_hours.is_known), NOTHING)
    storage = math.fsum(each.storage for each in estimates if not math.isnan(each.storage))
    unknown = sum(math.isnan(each.storage) or not each.gpu_hours.is_known for each in estimates)
    besides = f"; unknown for {unknown} jobs" if unknown else ""
    kinds = ", ".join(dict.fromkeys(each.gpu for each in estimates if each.gpu))
    return f"{_hours(hours)}{f' ({kinds})' if kinds else ''}, {_gigabytes(storage)} of storage{besides}"


def _hours(hours: Range) -> str:
    least, most = _number(hours.low), _number(hours.high)
    return f"{least} GPU-hours" if least == most else f"{least} to {most} GPU-hours"


def _gigabytes(size: float) -> str:
    return "storage unknown" if math.isnan(size) else f"{_number(size / 1e9)} GB"


def _number(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
