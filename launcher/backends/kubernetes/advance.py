"""`python -m launcher.backends.kubernetes.advance JOB`: a job is done; apply the JobSets of jobs that can now begin.

Runs in a job's last pod, and may run twice, or at once with another's: applying what is there already changes
nothing. It marks its own job done before it looks at others: of two jobs that end at once at least the
one that looks later sees both marks. Jobs that were cancelled before it began are left out; `retry` applies those.
"""

import sys
from collections.abc import Collection
from pathlib import Path

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.cluster import Cluster, KubernetesError
from launcher.backends.kubernetes.config_maps import cancelled_in, from_folder
from launcher.backends.kubernetes.manifests import downstream, jobset
from launcher.backends.kubernetes.pod_template import PLAN_MOUNT
from launcher.plan import Plan, PlannedJob
from locat.contract.text import speak


def advance(plan: Plan, name: str, cluster: Cluster, plan_parts: list[str], cancelled: Collection[str]) -> list[str]:
    """Mark the job called `name` done and apply what needs only what is done; names of the jobs applied."""
    cluster.set_label(names.jobset(plan.run_id, name), names.DONE_LABEL, "true")
    waiting = [job for job in downstream(plan, name) if job.name not in cancelled]
    ready = [job for job in waiting if _is_ready(plan, job, name, cluster)]
    for job in ready:
        cluster.apply(jobset(plan, job, plan_parts))
    return [job.name for job in ready]


def _is_ready(plan: Plan, job: PlannedJob, done: str, cluster: Cluster) -> bool:
    """Whether all that a job needs is done. Its last need is asked about first: likely the last to be done."""
    others = (names.jobset(plan.run_id, need) for need in reversed(job.needs) if need != done)
    return all((found := cluster.jobset(other)) is not None and found.is_done for other in others)


def main() -> int:
    speak()
    folder = Path(PLAN_MOUNT)
    plan = from_folder(folder)
    parts = [names.plan(plan.run_id, number) for number in range(len(list(folder.glob("plan.*"))))]
    try:
        applied = advance(plan, sys.argv[1], Cluster(), parts, cancelled_in(folder))
    except KubernetesError as error:
        print(error, file=sys.stderr)  # the Job tries again
        return 1
    print(f"applied: {', '.join(applied) or 'nothing; what needs it waits for others too, or was cancelled'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
