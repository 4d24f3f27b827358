"""A job's log from its pods: the first one prints what all ranks write, each line with its rank."""

import re
from collections.abc import Iterator

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.cluster import Cluster, KubernetesError
from launcher.plan import Plan, PlannedJob
from launcher.run_folder import RunError

PREFIX = re.compile(r"\[rank (\d+)\] ")


def tagged(rank: int, line: str) -> str:
    """A line as the pod prints it."""
    return f"[rank {rank}] {line}"


def lines(
    cluster: Cluster, plan: Plan, job: PlannedJob, rank: int | None, attempt: int | None, follow: bool
) -> Iterator[str]:
    """What the ranks of a job print, or one of them.

    Raises:
        RunError: no pod of it is there.
    """
    name = names.jobset(plan.run_id, job.name)
    pods = [
        pod.metadata
        for pod in cluster.pods(plan.run_id)
        if pod.metadata
        and (labels := pod.metadata.labels or {}).get(names.JOBSET_NAME_LABEL) == name
        and labels.get(names.REPLICATED_JOB_LABEL) == names.MAIN
    ]
    first = next((pod for pod in pods if (pod.annotations or {}).get(names.INDEX_ANNOTATION) == "0"), None)
    if first is None or not first.name:
        raise RunError(f"{job.name} has no pod now; what earlier ones wrote is in {plan.job_folder(job.name).attempts}")
    latest = int((first.labels or {}).get(names.RESTART_LABEL, 0)) + 1
    if attempt not in (None, latest):
        folder = plan.job_folder(job.name).attempt(attempt or latest)
        raise RunError(f"{job.name}: of attempt {attempt} no pod is left; its logs are in {folder} of the volume")
    try:
        yield from _of_rank(cluster.log(first.name, follow), rank)
    except KubernetesError as error:
        raise RunError(f"{job.name}: {error}") from error


def _of_rank(printed: Iterator[str], rank: int | None) -> Iterator[str]:
    if rank is None:
        yield from printed
        return
    for line in printed:
        found = PREFIX.match(line)
        if found and int(found[1]) == rank:
            yield line[found.end() :]
