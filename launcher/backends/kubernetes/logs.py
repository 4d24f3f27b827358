"""A job's log from its pods: the first one prints what all ranks write, each line with its rank."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from launcher.backends.base import NoLogYetError
from launcher.backends.errors import BackendError
from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.api_objects import Pod
from launcher.backends.kubernetes.causes import trouble
from launcher.backends.kubernetes.cluster import Cluster, KubernetesError
from launcher.plan import Plan, PlannedJob

PREFIX = re.compile(r"\[rank (\d+)\] ")


def tagged(rank: int, line: str) -> str:
    """A line as the pod prints it."""
    return f"[rank {rank}] {line}"


def lines(
    cluster: Cluster, plan: Plan, job: PlannedJob, rank: int | None, attempt: int | None, follow: bool
) -> Iterator[str]:
    """What the ranks of a job print, or one of them.

    Raises:
        NoLogYetError: its first pod is not there, or has not started.
        BackendError: of that attempt no pod is left.
    """
    folder = plan.job_folder(job.name)
    pod = _first_pod(cluster, plan, job)
    if pod is None:
        raise NoLogYetError(f"{job.name} has no pod now; what earlier ones wrote is in {folder.attempts}")
    latest = int(pod.metadata.labels.get(names.RESTART_LABEL, 0)) + 1
    if attempt not in (None, latest):
        raise BackendError(
            f"{job.name}: of attempt {attempt} no pod is left; its logs are in {folder.attempt(attempt or latest)}"
            " of the volume"
        )
    if not _has_started(pod):
        why = trouble(pod, datetime.now(UTC))
        raise NoLogYetError(f"{job.name}: its first pod has not started" + (f": {why}" if why else ""))
    return _of_rank(_printed(cluster, job, pod.name, follow), rank)


def _first_pod(cluster: Cluster, plan: Plan, job: PlannedJob) -> Pod | None:
    name = names.jobset(plan.run_id, job.name)
    for pod in cluster.pods(plan.run_id):
        if pod.is_main and pod.jobset == name and pod.index == 0:
            return pod
    return None


def _has_started(pod: Pod) -> bool:
    states = [each.state for each in pod.status.container_statuses]
    return any(state.running is not None or state.terminated is not None for state in states)


def _printed(cluster: Cluster, job: PlannedJob, pod: str, follow: bool) -> Iterator[str]:
    try:
        yield from cluster.log(pod, follow)
    except KubernetesError as error:
        raise BackendError(f"{job.name}: {error}") from error


def _of_rank(printed: Iterator[str], rank: int | None) -> Iterator[str]:
    if rank is None:
        yield from printed
        return
    for line in printed:
        found = PREFIX.match(line)
        if found and int(found[1]) == rank:
            yield line[found.end() :]
