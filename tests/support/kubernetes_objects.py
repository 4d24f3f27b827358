"""JobSets, pods and plans for tests without a cluster."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.api_objects import JobSet, Metadata, Pod
from launcher.backends.kubernetes.observe import Snapshot, observations
from launcher.plan import Plan
from launcher.runs.state import JobState, Observation
from support import small_runs

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def diamond(tmp_path: Path) -> Plan:
    """a and b, c after both, d after a."""
    jobs = [
        small_runs.job("a"),
        small_runs.job("b"),
        small_runs.job("c", needs=("a", "b")),
        small_runs.job("d", needs=("a",)),
    ]
    return small_runs.make(tmp_path, *jobs, backend="kubernetes").plan()


def jobset(**status: Any) -> JobSet:
    return msgspec.convert({"metadata": {"name": "x"}, "spec": {}, "status": status}, JobSet)


def jobset_of(plan: Plan, job: str, jobset: JobSet) -> JobSet:
    """The same JobSet, as that of a job of the plan."""
    name, annotations = names.jobset(plan.run_id, job), {names.JOB_ANNOTATION: job}
    return msgspec.structs.replace(jobset, metadata=Metadata(name, jobset.metadata.labels, annotations))


def pod(phase: str = "Pending", deleted: datetime | None = None, **status: Any) -> Pod:
    values = {
        "metadata": {"name": "p", **({"deletionTimestamp": deleted.isoformat()} if deleted else {})},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": phase, **status},
    }
    return msgspec.convert(values, Pod)


def pod_ended(exit_code: int, reason: str = "Error", message: str = "") -> Pod:
    state = {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}
    return pod("Failed", containerStatuses=[container(state)])


def container(state: dict[str, Any]) -> dict[str, Any]:
    return {"name": "main", "state": state, "ready": False, "restartCount": 0, "image": "", "imageID": ""}


def waiting(reason: str) -> Pod:
    return pod(containerStatuses=[container({"waiting": {"reason": reason, "message": "told so"}})])


def terminal(kind: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "message": "no more", "lastTransitionTime": "2026-11-21T12:00:00Z"}


FAILED = jobset(conditions=[terminal("Failed")])
COMPLETED = jobset(conditions=[terminal("Completed")])
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


def observed(plan: Plan, seen: Snapshot, **recorded: JobState) -> dict[str, Observation]:
    ends = {name: Observation(state, final=True) for name, state in recorded.items()}
    return observations(plan, {job.name: ends.get(job.name, Observation(JobState())) for job in plan.jobs}, seen)


def seen_with(plan: Plan, jobsets: dict[str, JobSet], pods: dict[str, list[Pod]] | None = None) -> Snapshot:
    ids = {job: names.jobset(plan.run_id, job) for job in jobsets}
    named = {ids[job]: jobset_of(plan, job, each) for job, each in jobsets.items()}
    return Snapshot(named, {ids[job]: each for job, each in (pods or {}).items()}, now=NOW)
