"""A plan as text: what `submit --dry-run` shows."""

import math
import shlex
from collections import Counter
from collections.abc import Iterator

from launcher.compile.estimate import SUSTAINED_FLOPS, Estimate, Estimator
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
    hours = f"; {_number(estimate.gpu_hours)} GPU-hours" if job.resources.gpus else ""
    return hours + (f"; {_gigabytes(estimate.storage)}" if estimate.storage else "")


def _total(estimates: list[Estimate]) -> str:
    """The sums of what is known, and of how many jobs it is not."""
    hours = [estimate.gpu_hours for estimate in estimates]
    storage = [estimate.storage for estimate in estimates]
    known_hours, known_storage = (math.fsum(x for x in values if not math.isnan(x)) for values in (hours, storage))
    unknown = sum(math.isnan(one) or math.isnan(other) for one, other in zip(hours, storage, strict=True))
    besides = f"; unknown for {unknown} jobs" if unknown else ""
    speed = f" (estimated for {SUSTAINED_FLOPS / 1e12:.0f} TFLOP/s a GPU)" if known_hours else ""
    return f"{_number(known_hours)} GPU-hours{speed}, {_gigabytes(known_storage)} of storage{besides}"


def _gigabytes(size: float) -> str:
    return "storage unknown" if math.isnan(size) else f"{_number(size / 1e9)} GB"


def _number(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
