"""A run on Kubernetes, without a cluster: how its JobSets and pods are understood, what `advance` decides, logs."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

from launcher.backends import BACKENDS, look, look_all
from launcher.backends.base import NoLogYetError
from launcher.backends.kubernetes import ended, names
from launcher.backends.kubernetes import pod as pod_runner
from launcher.backends.kubernetes.advance import advance
from launcher.backends.kubernetes.api_objects import JobSet, Metadata, Pod
from launcher.backends.kubernetes.changes import Changes
from launcher.backends.kubernetes.cluster import Cluster, KubernetesError, UnansweredError, translated
from launcher.backends.kubernetes.logs import lines
from launcher.backends.kubernetes.observe import Snapshot, observations
from launcher.backends.kubernetes.plan_objects import CANCELLED, cancelled_in
from launcher.backends.kubernetes.pod import follow, prepared, run_pod
from launcher.plan import Plan
from launcher.run_folder import RunError, RunFolder
from launcher.state import JobState, Observation, Status
from launcher.status import RunView, derive
from launcher.watch import views
from locat import durable
from locat.job_folder import ExitCode

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class ApiOfJobSets:
    """What `advance` needs of a cluster, in memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.applied: list[str] = []
        self.there = {names.jobset(plan.run_id, job.name): _jobset() for job in plan.jobs if not job.needs}

    def set_label(self, name: str, label: str, value: str) -> None:
        self.there[name].metadata.labels[label] = value

    def jobset(self, name: str) -> JobSet | None:
        return self.there.get(name)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.applied.append(manifest["metadata"]["annotations"][names.JOB_ANNOTATION])
        self.there.setdefault(manifest["metadata"]["name"], _jobset())


def _jobset(**status: Any) -> JobSet:
    return msgspec.convert({"metadata": {"name": "x"}, "spec": {}, "status": status}, JobSet)


def diamond(tmp_path: Path) -> Plan:
    """a and b, c after both, d after a."""
    jobs = [runs.job("a"), runs.job("b"), runs.job("c", needs=("a", "b")), runs.job("d", needs=("a",))]
    return runs.make(tmp_path, *jobs, backend="kubernetes").plan()


@given(st.permutations(["a", "b", "a", "b", "c"]))
def test_advance_begins_each_job_once_all_it_needs_is_done(order: list[str]) -> None:
    jobs = (runs.job("a"), runs.job("b"), runs.job("c", needs=("a", "b")), runs.job("d", needs=("a",)))
    plan = Plan("r", "test", "", Path("/runs/r"), "", "test", jobs, "kubernetes")
    api = ApiOfJobSets(plan)
    done: set[str] = set()
    for name in order:
        if names.jobset("r", name) not in api.there:
            continue
        done.add(name)
        before = set(api.applied)
        advance(plan, name, api, ["plan"], cancelled=())  # type: ignore[arg-type]
        for new in set(api.applied) - before:
            assert done.issuperset(plan.job(new).needs)
    assert set(api.applied) == {"c", "d"}


def test_advance_leaves_out_what_was_cancelled_before_it_began(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    api = ApiOfJobSets(plan)
    (tmp_path / CANCELLED).write_text("c\nd")
    for name in ("a", "b"):
        assert advance(plan, name, api, ["plan"], cancelled_in(tmp_path)) == []  # type: ignore[arg-type]
    (tmp_path / CANCELLED).unlink()
    assert advance(plan, "b", api, ["plan"], cancelled_in(tmp_path)) == ["c"]  # type: ignore[arg-type]


def test_pods_of_another_plan_with_the_same_run_id_run_nothing(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    again = replace(plan, jobs=tuple(replace(job, image="registry.example/newer:2") for job in plan.jobs))
    assert prepared(plan.folder, again).plan() == plan
    other = replace(plan, jobs=(replace(plan.jobs[0], config={"task": "other"}), *plan.jobs[1:]))
    code, reason = run_pod(plan.folder, "a", other)
    assert code == ExitCode.INVALID
    assert reason == f"{plan.folder} is of another plan with the same run id; render this one with another --run-id"


def test_pods_whose_first_one_finds_no_place_are_started_again_and_that_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_runner, "PATIENCE", 0.0)
    plan = diamond(tmp_path)
    assert follow(prepared(plan.folder, plan), "a", "uid.0", "1")[0] == ExitCode.PREEMPTED


def observed(plan: Plan, seen: Snapshot, **recorded: JobState) -> dict[str, Observation]:
    return observations(plan, {job.name: recorded.get(job.name, JobState()) for job in plan.jobs}, seen)


def seen_with(plan: Plan, jobsets: dict[str, JobSet], pods: dict[str, list[Pod]] | None = None) -> Snapshot:
    ids = {job: names.jobset(plan.run_id, job) for job in jobsets}
    named = {ids[job]: jobset_of(plan, job, each) for job, each in jobsets.items()}
    return Snapshot(named, {ids[job]: each for job, each in (pods or {}).items()}, now=NOW)


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


FAILED = _jobset(conditions=[terminal("Failed")])
COMPLETED = _jobset(conditions=[terminal("Completed")])
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


@pytest.mark.parametrize(
    ("jobset", "pods", "status", "reason"),
    [
        (FAILED, [pod_ended(2, message="config is wrong")], Status.INVALID, "config is wrong"),
        (FAILED, [pod_ended(137, "OOMKilled")], Status.FAILED, "OOMKilled"),
        (FAILED, [pod_ended(1, message="ValueError: no")], Status.FAILED, "ValueError: no"),
        (FAILED, [], Status.FAILED, "no more"),
        (FAILED, [pod("Failed", reason="Evicted", message="disk full")], Status.FAILED, "Evicted: disk full"),
        (_jobset(), [pod(conditions=[UNSCHEDULABLE])], Status.QUEUED, "Unschedulable: 0/3 nodes"),
        (_jobset(), [waiting("ImagePullBackOff")], Status.QUEUED, "pull_secrets"),
        (_jobset(), [waiting("CreateContainerConfigError")], Status.QUEUED, "make the Secret"),
        (_jobset(), [pod("Running")], Status.RUNNING, "on n1"),
        (_jobset(restarts=2), [], Status.QUEUED, "starts again"),
        (_jobset(), [pod("Pending", deleted=NOW - timedelta(minutes=5))], Status.QUEUED, "node n1 does not answer"),
        (
            _jobset(),
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
    seen = seen_with(plan, {"a": _jobset()}, {"a": [pod("Succeeded")]})
    advancing = {name: [pod(conditions=[UNSCHEDULABLE])]}
    job = derive(plan, observed(plan, replace(seen, advancing=advancing)), supervised=True).jobs[0]
    assert job.status is Status.RUNNING
    assert job.reason.startswith("has ended; its pod `advance`: Unschedulable: 0/3 nodes")


def test_who_looks_on_is_patient_with_a_server_that_has_answered_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    going = derive(plan, observed(plan, seen_with(plan, {"a": _jobset()})), supervised=True)
    done = {job.name: JobState(Status.DONE, 1) for job in plan.jobs}
    over = derive(plan, observed(plan, seen_with(plan, {}), **done), supervised=False)
    away = UnansweredError("the Kubernetes API does not answer")

    def seen(*answers: RunView | Exception) -> list[RunView]:
        monkeypatch.setattr("launcher.watch.look", Mock(side_effect=answers))
        return list(views(run, plan))

    monkeypatch.setattr(BACKENDS["kubernetes"], "wait", lambda run: None)

    assert seen(going, away, away, over) == [going, going, going, over]
    with pytest.raises(UnansweredError):
        seen(away, over)


def test_a_run_whose_cluster_is_gone_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    ended.record(run, {"a": JobState(Status.DONE, 1)})
    durable.write_json(run.path / "cluster.json", {"context": "gone", "namespace": "n"})
    (view,) = look_all([run])
    assert [str(job.status) for job in view.jobs] == ["done", "queued", "pending", "queued"]
    assert "as last recorded; no cluster is configured" in view.jobs[1].reason


def use_kubeconfig(folder: Path, monkeypatch: pytest.MonkeyPatch, server: str, user: dict[str, Any]) -> None:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "config"))


def test_a_login_that_has_expired_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "false"}}
    use_kubeconfig(tmp_path, monkeypatch, "http://127.0.0.1:1", user)
    with pytest.raises(KubernetesError, match=r"no access to the cluster: .*log in again"):
        Cluster().jobsets("r")


class Unknown(BaseHTTPRequestHandler):
    """Answers as an API server does that has no such kind of objects."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"404 page not found\n")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_what_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Unknown) as server:
        use_kubeconfig(tmp_path, monkeypatch, server, {"token": "x"})
        with pytest.raises(KubernetesError, match=r"JobSet is not installed in this cluster; install JobSet"):
            Cluster().jobsets("r")
        with pytest.raises(KubernetesError, match=r"Kueue is not installed .* leave options.kubernetes.queue out"):
            Cluster().quota_waits()


def test_an_answer_that_is_not_of_the_api_is_told_in_one_line() -> None:
    with pytest.raises(UnansweredError, match="does not answer"), translated():
        msgspec.json.decode(b"<html>log in first</html>", type=JobSet)


def test_retry_forgets_how_jobs_failed_and_not_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    done, failed = JobState(Status.DONE, 1), JobState(Status.FAILED, 1)
    ended.record(run, {"a": done, "b": failed, "d": failed})
    stuck = msgspec.structs.replace(FAILED, metadata=Metadata("", labels={names.DONE_LABEL: "true"}))
    jobsets = {"a": COMPLETED, "b": FAILED, "c": stuck, "d": FAILED}
    there = {job: jobset_of(plan, job, each) for job, each in jobsets.items()}
    cluster = Mock(spec=Cluster)
    cluster.data.return_value = ""
    cluster.jobsets.side_effect = lambda _: list(there.values())
    cluster.delete_jobset.side_effect = lambda name: there.pop(next(job for job in there if there[job].name == name))
    monkeypatch.setattr("launcher.backends.kubernetes._cluster", lambda _: cluster)
    BACKENDS["kubernetes"].forget(run, {"a", "b", "c"})
    assert ended.recorded(run) == {"a": done, "d": failed}
    assert set(there) == {"a", "c", "d"}


def test_an_end_is_not_recorded_of_what_is_being_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    failed, leaving = (jobset_of(plan, job, FAILED) for job in "ab")
    leaving.metadata.deletion_timestamp = NOW
    cluster = Mock(spec=Cluster)
    cluster.data.return_value = ""
    cluster.jobsets_and_pods.return_value = [failed, leaving], []
    cluster.pods.return_value = []
    monkeypatch.setattr("launcher.backends.kubernetes._cluster", lambda _: cluster)
    assert {job.name: str(job.status) for job in look(run, plan).jobs}["b"] == "failed"
    assert set(ended.recorded(run)) == {"a"}


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Where a server answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Watched(BaseHTTPRequestHandler):
    """Says of one kind of objects that there is a new one, and then nothing."""

    kind = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.kind in self.path:
            event = {"type": "ADDED", "object": {"metadata": {"name": "x", "resourceVersion": "7"}}}
            self.wfile.write(f"{json.dumps(event)}\n".encode())
            self.wfile.flush()
        threading.Event().wait(30)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize("kind", ["/jobsets", "/pods"])
def test_who_waits_hears_of_changes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "kind", kind)
    with serving(Watched) as server:
        use_kubeconfig(tmp_path, monkeypatch, server, {"token": "x"})
        started = time.monotonic()
        Changes(Cluster(), "r").wait(20)
        assert time.monotonic() - started < 10


def test_what_needs_a_failed_job_is_blocked_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    seen = seen_with(plan, {"a": FAILED, "b": _jobset()}, {"a": [pod_ended(1)], "b": [pod("Running")]})
    view = derive(plan, observed(plan, seen), supervised=True)
    assert {job.name: str(job.status) for job in view.jobs} == {
        "a": "failed", "b": "running", "c": "blocked", "d": "blocked",
    }  # fmt: skip


def test_a_job_that_nobody_will_apply_is_lost(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    there = observed(plan, seen_with(plan, {"a": COMPLETED, "b": _jobset()}))
    deleted = observed(plan, seen_with(plan, {"b": _jobset()}), a=JobState(Status.DONE, 1))
    for found in (there, deleted):
        view = derive(plan, found, supervised=True)
        assert {job.name: str(job.status) for job in view.jobs} == {
            "a": "done", "b": "queued", "c": "pending", "d": "lost",
        }  # fmt: skip


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.INVALID])
def test_how_a_job_ended_is_known_when_its_jobset_is_gone(tmp_path: Path, status: Status) -> None:
    plan = diamond(tmp_path)
    found = observed(plan, seen_with(plan, {"b": _jobset()}), a=JobState(status, 1, reason="told"))
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
    with pytest.raises(RunError, match="of attempt 2 no pod is left"):
        printed(started, attempt=2)
    with pytest.raises(NoLogYetError, match="has no pod now"):
        printed(first_pod(plan, "b", {}))
    with pytest.raises(NoLogYetError, match=r"has not started: ImagePullBackOff: .*correct `image`"):
        printed(first_pod(plan, "a", {"waiting": {"reason": "ImagePullBackOff"}}))
