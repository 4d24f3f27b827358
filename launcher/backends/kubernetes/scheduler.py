"""What schedulers other than the cluster's own must read on a JobSet, its Jobs and its pods. Pure.

Each makes one group of a job's pods, so that all of them are placed or none.
"""

from dataclasses import dataclass, field

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.options import Scheduler
from launcher.plan import Plan, PlannedJob


@dataclass(frozen=True)
class Marks:
    """What a scheduler looks for, and where."""

    name: str | None = None
    """The pods' `schedulerName`; None is the cluster's default."""
    jobset: dict[str, str] = field(default_factory=dict)
    """Annotations of the JobSet."""
    job: dict[str, str] = field(default_factory=dict)
    """Annotations of the Job that runs the pods."""
    pod: dict[str, str] = field(default_factory=dict)
    """Annotations of the pods."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels of the JobSet and of the pods."""


def marks(plan: Plan, job: PlannedJob, scheduler: Scheduler | None) -> Marks:
    """For the pods that run `job`."""
    if scheduler is None:
        return Marks()
    queue = scheduler.queue
    match scheduler.name:
        case "volcano":  # its controller makes a PodGroup for the pods' owner, the Job
            group = {"scheduling.volcano.sh/group-min-member": str(job.resources.nodes)}
            return Marks("volcano", job=group, pod=_named("scheduling.volcano.sh/queue-name", queue))
        case "kai":  # its pod grouper knows JobSets
            return Marks("kai-scheduler", labels=_named("kai.scheduler/queue", queue))
        case "slurm-bridge":  # it submits a placeholder job to Slurm for the pods' topmost owner, the JobSet
            prefix = "slurmjob.slinky.slurm.net"
            limit = job.resources.time
            return Marks(
                "slurm-bridge-scheduler",
                jobset={
                    f"{prefix}/job-name": names.jobset(plan.run_id, job.name),
                    **_named(f"{prefix}/partition", queue),
                    **_named(f"{prefix}/timelimit", str(limit) if limit else None),
                },
            )


def _named(key: str, value: str | None) -> dict[str, str]:
    return {key: value} if value else {}
