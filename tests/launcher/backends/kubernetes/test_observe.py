"""How the JobSets and pods of a run are understood, and which log is a job's."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from launcher.backends.base import NoLogYetError
from launcher.backends.errors import BackendError
from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.api_objects import JobSet, Pod
from launcher.backends.kubernetes.logs import lines
from launcher.plan import Plan
from launcher.runs.state import JobState, Status
from launcher.runs.status import derive
from support.kubernetes_objects import (
    COMPLETED,
    FAILED,
    NOW,
    UNSCHEDULABLE,
    container,
    diamond,
    jobset,
    observed,
    pod,
    pod_ended,
    seen_with,
    waiting,
)


@pytest.mark.parametrize(
    ("jobset", "pods", "status", "reason"),
    [
        (FAILED, [pod_ended(2, message="config is wrong")], Status.INVALID, "config is wrong"),
        (FAILED, [pod_ended(137, "OOMKilled")], Status.FAILED, "OOMKilled"),
        (FAILED, [pod_ended(1, message="ValueError: no")], Status.FAILED, "ValueError: no"),
        (FAILED, [], Status.FAILED, "no more"),
        (FAILED, [pod("Failed", reason="Evicted", message="disk full")], Status.FAILED, "Evicted: disk full"),
        (jobset(), [pod(conditions=[UNSCHEDULABLE])], Status.QUEUED, "Unschedulable: 0/3 nodes"),
        (jobset(), [waiting("ImagePullBackOff")], Status.QUEUED, "pull_secrets"),
        (jobset(), [waiting("CreateContainerConfigError")], Status.QUEUED, "make the Secret"),
        (jobset(), [pod("Running")], Status.RUNNING, "on n1"),
        (jobset(restarts=2), [], Status.QUEUED, "starts again"),
        (jobset(), [pod("Pending", deleted=NOW - timedelta(minutes=5))], Status.QUEUED, "node n1 does not answer"),
        (
            jobset(),
            [pod("Running", deleted=NOW - timedelta(minutes=5))],
            Status.RUNNING,
            "kubectl taint nodes n1 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        ),
    ],
)
def test_causes_are_named(tmp_path: Path, jobset: JobSet, pods: list[Pod], status: Status, reason: str) -> None:
    plan = diamond(tmp_path)
    view = derive(plan, observed(plan, seen_with(plan, {"a": jobset}, {"a": pods})), supervised=True)
    job = next(job for job in view.jobs if job.name == "a")
    assert job.status is status
    assert reason in job.reason


def test_a_job_whose_last_pod_finds_no_place_says_so(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    name = names.jobset(plan.run_id, "a")
    seen = seen_with(plan, {"a": jobset()}, {"a": [pod("Succeeded")]})
    advancing = {name: [pod(conditions=[UNSCHEDULABLE])]}
    job = derive(plan, observed(plan, replace(seen, advancing=advancing)), supervised=True).jobs[0]
    assert job.status is Status.RUNNING
    assert job.reason.startswith("has ended; its pod `advance`: Unschedulable: 0/3 nodes")


def test_what_needs_a_failed_job_is_blocked_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    seen = seen_with(plan, {"a": FAILED, "b": jobset()}, {"a": [pod_ended(1)], "b": [pod("Running")]})
    view = derive(plan, observed(plan, seen), supervised=True)
    assert {job.name: str(job.status) for job in view.jobs} == {
        "a": "failed", "b": "running", "c": "blocked", "d": "blocked",
    }  # fmt: skip


def test_a_job_that_nobody_will_apply_is_lost(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    there = observed(plan, seen_with(plan, {"a": COMPLETED, "b": jobset()}))
    deleted = observed(plan, seen_with(plan, {"b": jobset()}), a=JobState(Status.DONE, 1))
    for found in (there, deleted):
        view = derive(plan, found, supervised=True)
        assert {job.name: str(job.status) for job in view.jobs} == {
            "a": "done", "b": "queued", "c": "pending", "d": "lost",
        }  # fmt: skip


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.INVALID])
def test_how_a_job_ended_is_known_when_its_jobset_is_gone(tmp_path: Path, status: Status) -> None:
    plan = diamond(tmp_path)
    found = observed(plan, seen_with(plan, {"b": jobset()}), a=JobState(status, 1, reason="told"))
    assert found["a"].state.status is status


class ClusterWithPods:
    """What a log is read from."""

    def __init__(self, *pods: Pod) -> None:
        self._pods = pods

    def pods(self, run_id: str) -> Sequence[Pod]:
        return self._pods

    def log(self, pod: str, follow: bool) -> Iterator[str]:
        yield from ("[rank 0] one\n", "[rank 1] two\n", "three\n")


def first_pod(plan: Plan, job: str, state: dict[str, Any]) -> Pod:
    labels = {names.JOBSET_NAME_LABEL: names.jobset(plan.run_id, job), names.REPLICATED_JOB_LABEL: names.MAIN}
    found = pod(containerStatuses=[container(state)])
    found.metadata.labels = {**labels, names.RESTART_LABEL: "2"}
    found.metadata.annotations = {names.INDEX_ANNOTATION: "0"}
    return found


def test_a_log_is_there_once_the_first_pod_has_started(tmp_path: Path) -> None:
    plan = diamond(tmp_path)

    def printed(*pods: Pod, rank: int | None = None, attempt: int | None = None) -> str:
        return "".join(lines(ClusterWithPods(*pods), plan, plan.job("a"), rank, attempt, True))  # type: ignore[arg-type]

    started = first_pod(plan, "a", {"running": {"startedAt": "2026-11-21T12:00:00Z"}})
    assert printed(started) == "[rank 0] one\n[rank 1] two\nthree\n"
    assert printed(started, rank=1, attempt=3) == "two\n"
    with pytest.raises(BackendError, match="of attempt 2 no pod is left"):
        printed(started, attempt=2)
    with pytest.raises(NoLogYetError, match="has no pod now"):
        printed(first_pod(plan, "b", {}))
    with pytest.raises(NoLogYetError, match=r"has not started: ImagePullBackOff: .*correct `image`"):
        printed(first_pod(plan, "a", {"waiting": {"reason": "ImagePullBackOff"}}))
