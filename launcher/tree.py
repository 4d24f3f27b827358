"""A plan as text: what `submit --dry-run` shows."""

import shlex
from collections import Counter
from collections.abc import Iterator

from launcher.plan import Plan, PlannedJob, Resources

MOST_SHOWN = 8
"""Instances of one pipeline job that are shown; the rest are counted."""


def tree(plan: Plan) -> str:
    """The plan's jobs in the order they can start: what each waits for, occupies and runs."""
    groups: dict[str, list[PlannedJob]] = {}
    for job in plan.jobs:
        groups.setdefault(job.group, []).append(job)
    lines = [
        f"{plan.run_id}: {plan.description or plan.pipeline}",
        f"folder    {plan.folder}",
        f"tracking  {plan.tracking_uri}, experiment {plan.experiment}",
        f"jobs      {len(plan.jobs)}",
    ]
    group_of = {job.name: job.group for job in plan.jobs}
    for jobs in groups.values():
        for job in jobs[:MOST_SHOWN]:
            lines += _job(job, group_of)
        if len(jobs) > MOST_SHOWN:
            lines.append(f"├── ... and {len(jobs) - MOST_SHOWN} more of {jobs[0].group}")
    last = max(index for index, line in enumerate(lines) if line.startswith("├"))
    lines[last:] = [line.replace("├", "└", 1).replace("│", " ", 1) for line in lines[last:]]
    return "\n".join(lines)


def _job(job: PlannedJob, group_of: dict[str, str]) -> Iterator[str]:
    needs = Counter(group_of[need] for need in job.needs)
    one_of = {group_of[need]: need for need in job.needs}
    names = [one_of[group] if count == 1 else f"{count} of {group}" for group, count in needs.items()]
    after = f"  after {', '.join(names)}" if names else ""
    retried = f", {job.retries} {'retry' if job.retries == 1 else 'retries'}" if job.retries else ""
    yield f"├── {job.name}{after}"
    yield f"│     {job.config['task']} on {_resources(job.resources)}{retried}"
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in job.environment.items())
    yield f"│     {variables} {shlex.join(job.command)}"


def _resources(resources: Resources) -> str:
    counts = {
        "node": resources.nodes,
        "rank": resources.processes,
        "core": resources.cpus,
        "GPU": resources.gpus,
    }
    nodes, *each = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
    return ", ".join(each) if resources.nodes == 1 else f"{nodes} of {', '.join(each)}"
