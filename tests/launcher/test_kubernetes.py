"""Kubernetes without a cluster: what is rendered, how it is understood, what `advance` decides."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import runs
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lightkube.resources.core_v1 import Pod

from launcher import secrets
from launcher.backends import BACKENDS
from launcher.backends.base import NoLogYetError
from launcher.backends.kubernetes import names, plan_objects
from launcher.backends.kubernetes.advance import advance
from launcher.backends.kubernetes.logs import lines
from launcher.backends.kubernetes.manifests import jobset, manifest_files, objects
from launcher.backends.kubernetes.observe import Snapshot, observations
from launcher.compiler import compile_pipeline
from launcher.pipeline import load, validate
from launcher.plan import Plan
from launcher.run_folder import RunError
from launcher.state import JobState, Observation, Status
from launcher.status import derive
from launcher.yaml_source import parse
from locat.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "k8s/examples"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FULL = """
name: full
secrets: [HF_TOKEN]
defaults:
  image: registry.example/locat:1
  retries: 2
  resources: {memory: 8G}
  storage:
    /datasets: {claim: datasets, read_only: true}
    /scratch: {volume: {nfs: {server: files.example, path: /scratch}}}
  options:
    kubernetes:
      queue: team
      priority_class: low
      node_selector: {pool: gpu}
      tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
      topology: topology.kubernetes.io/zone
      shared_memory: 2G
      pull_secrets: [registry]
      ttl: 7d
jobs:
  a: {task: convert, config: {dataset: {name: digits}}}
  b:
    task: supervised
    needs: [a]
    resources: {nodes: 2, gpus: 4, gpu_type: NVIDIA-H100-80GB-HBM3}
    config:
      model: {name: locatvit_tiny}
      data: {train: "${jobs.a.outputs.train}", val: "${jobs.a.outputs.val}"}
      epochs: 1
      batch_size: 8
"""


def planned(text: str = FULL) -> Plan:
    pipeline = validate(parse(text, "x.yaml"))
    return compile_pipeline(pipeline, "full-1", Path("/runs"), "http://mlflow:5000", "kubernetes")


def rendered(job: str, text: str = FULL) -> dict[str, Any]:
    plan = planned(text)
    return jobset(plan, plan.job(job), ["full-1-plan-0"])


def main_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("name", ["digits", "base"])
def test_the_committed_examples_are_what_is_rendered(name: str) -> None:
    pipeline = load(EXAMPLES / f"{name}.yaml")
    plan = compile_pipeline(pipeline, name, Path("/runs"), "http://mlflow:5000", "kubernetes")
    committed = {file.name: file.read_text() for file in (EXAMPLES / name).iterdir()}
    command = f"launcher render k8s/examples/{name}.yaml --backend kubernetes --run-id {name} -o k8s/examples/{name}"
    assert manifest_files(plan) == committed, f"run: {command}"


def test_files_hold_what_is_rendered() -> None:
    files = manifest_files(planned())
    kustomization = yaml.safe_load(files.pop("Kustomization"))
    assert kustomization["resources"] == list(files)
    assert [each for text in files.values() for each in yaml.safe_load_all(text)] == objects(planned())


def test_only_jobs_that_need_nothing_are_handed_over() -> None:
    assert [each["kind"] for each in objects(planned())] == ["ConfigMap", "JobSet"]


def test_every_option_reaches_the_pods() -> None:
    manifest = rendered("b")
    spec = main_spec(manifest)
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert spec["priorityClassName"] == "low"
    assert spec["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "pool": "gpu"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    near = spec["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]
    assert near["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["/dev/shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert mounts["/runs"]["persistentVolumeClaim"] == {"claimName": "locat-runs"}
    assert mounts["/datasets"]["persistentVolumeClaim"] == {"claimName": "datasets", "readOnly": True}
    assert mounts["/scratch"]["nfs"] == {"server": "files.example", "path": "/scratch"}
    container = spec["containers"][0]
    assert container["resources"] == {
        "requests": {"cpu": 4, "nvidia.com/gpu": 4, "memory": "8192Mi"},
        "limits": {"nvidia.com/gpu": 4, "memory": "8192Mi"},
    }
    environment = {each["name"]: each for each in container["env"]}
    assert environment["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "locat-secrets", "key": "HF_TOKEN"}}
    host = f"{names.jobset('full-1', 'b')}-main-0-0.{names.jobset('full-1', 'b')}:29400"
    assert environment["PET_RDZV_ENDPOINT"]["value"] == host


def test_a_job_that_nothing_needs_has_no_advance_and_keeps_nothing_running() -> None:
    assert [each["name"] for each in rendered("b")["spec"]["replicatedJobs"]] == ["main"]
    assert [each["name"] for each in rendered("a")["spec"]["replicatedJobs"]] == ["main", "advance"]
    advance_pod = rendered("a")["spec"]["replicatedJobs"][1]["template"]["spec"]["template"]["spec"]
    assert advance_pod["serviceAccountName"] == "locat-advance"
    assert "nvidia.com/gpu" not in str(advance_pod)


def test_pods_meet_the_restricted_standard() -> None:
    for replicated in rendered("a")["spec"]["replicatedJobs"]:
        spec = replicated["template"]["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
    assert main_spec(rendered("a"))["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("Container main for pod n/p-0 failed with exit code 2 matching FailJob rule at index 0", "FailJobSet"),
        (
            "Container main for pod n/p-0 failed with exit code 75 matching FailJob rule at index 1",
            "RestartJobSetAndIgnoreMaxRestarts",
        ),
        (
            "Pod n/p-0 has condition DisruptionTarget matching FailJob rule at index 2",
            "RestartJobSetAndIgnoreMaxRestarts",
        ),
        ("Container main for pod n/p-275 failed with exit code 21 matching FailJob rule", None),
    ],
)
def test_what_a_failed_job_says_decides_whether_it_runs_again(message: str, action: str | None) -> None:
    rules = rendered("a")["spec"]["failurePolicy"]["rules"]
    matching = [
        rule["action"]
        for rule in rules
        if any(re.search(pattern, message) for pattern in rule["onJobFailureMessagePatterns"])
    ]
    assert matching[:1] == ([action] if action else [])
    assert rendered("a")["spec"]["failurePolicy"]["maxRestarts"] == 2


def test_a_jobset_that_others_wait_for_beside_others_is_kept() -> None:
    assert rendered("a")["spec"]["ttlSecondsAfterFinished"] == 7 * 86400
    text = FULL.replace("jobs:\n", "jobs:\n  z: {task: convert, config: {dataset: {name: digits}}}\n").replace(
        "needs: [a]", "needs: [a, z]"
    )
    assert "ttlSecondsAfterFinished" not in rendered("a", text)["spec"]


@given(st.from_regex("[a-z]([a-z0-9_-]{0,60}[a-z0-9])?", fullmatch=True), st.text("abc-123", min_size=1, max_size=60))
def test_names_fit_kubernetes_and_do_not_collide(job: str, run_id: str) -> None:
    name = names.jobset(run_id, job)
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(f"{name}-advance-0-0-abcde") <= 63
    assert name != names.jobset(run_id, f"{job}x") and name != names.jobset(f"{run_id}x", job)


@given(st.integers(1, 400))
def test_a_large_plan_is_cut_and_put_together_again(size: int) -> None:
    plan = planned()
    large = replace(plan, jobs=tuple(replace(plan.jobs[0], name=f"j{index}") for index in range(size)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_objects, "LARGEST", 5_000)
        maps = plan_objects.config_maps(large)
    assert all(len(text) <= 5_000 for each in maps for text in each["data"].values())
    data = {key: text for each in reversed(maps) for key, text in each["data"].items()}
    assert plan_objects.from_data(data) == large


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FULL.replace("  image: registry.example/locat:1\n", ""), "job a has no image"),
        (FULL.replace("claim: datasets, ", ""), "storage /datasets names neither a `claim` nor a `volume`"),
    ],
)
def test_what_can_never_run_is_refused_before_the_cluster_is_asked(text: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        BACKENDS["kubernetes"].check(planned(text))


def test_secrets_need_not_be_in_the_shell_but_must_not_be_in_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert not BACKENDS["kubernetes"].takes_environment
    secrets.check(planned(), from_shell=False)
    with pytest.raises(ConfigError, match="not set in this shell"):
        secrets.check(planned(), from_shell=True)
    monkeypatch.setenv("HF_TOKEN", "registry.example")
    with pytest.raises(ConfigError, match="is written in it"):
        secrets.check(planned(), from_shell=False)


class ApiOfJobSets:
    """What `advance` needs of a cluster, in memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.applied: list[str] = []
        self.there = {names.jobset(plan.run_id, job.name): _jobset() for job in plan.jobs if not job.needs}

    def set_label(self, name: str, label: str, value: str) -> None:
        self.there[name]["metadata"]["labels"][label] = value

    def jobset(self, name: str) -> dict[str, Any] | None:
        return self.there.get(name)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.applied.append(manifest["metadata"]["annotations"][names.JOB_ANNOTATION])
        self.there.setdefault(manifest["metadata"]["name"], _jobset())


def _jobset(**status: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {}, "name": "x"}, "spec": {}, "status": status}


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
        advance(plan, name, api, ["plan"])  # type: ignore[arg-type]
        for new in set(api.applied) - before:
            assert done.issuperset(plan.job(new).needs)
    assert set(api.applied) == {"c", "d"}


def observed(plan: Plan, seen: Snapshot, **recorded: JobState) -> dict[str, Observation]:
    return observations(plan, {job.name: recorded.get(job.name, JobState()) for job in plan.jobs}, seen)


def seen_with(plan: Plan, jobsets: dict[str, dict[str, Any]], pods: dict[str, list[Pod]] | None = None) -> Snapshot:
    named = {
        names.jobset(plan.run_id, job): {**each, "metadata": {"labels": {}, "name": names.jobset(plan.run_id, job)}}
        for job, each in jobsets.items()
    }
    return Snapshot(named, {names.jobset(plan.run_id, job): each for job, each in (pods or {}).items()}, now=NOW)


def pod(phase: str = "Pending", deleted: datetime | None = None, **status: Any) -> Pod:
    values = {
        "metadata": {"name": "p", **({"deletionTimestamp": deleted.isoformat()} if deleted else {})},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": phase, **status},
    }
    made: Pod = Pod.from_dict(values)  # type: ignore[assignment]
    return made


def ended(exit_code: int, reason: str = "Error", message: str = "") -> Pod:
    state = {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}
    return pod("Failed", containerStatuses=[container(state)])


def container(state: dict[str, Any]) -> dict[str, Any]:
    return {"name": "main", "state": state, "ready": False, "restartCount": 0, "image": "", "imageID": ""}


def waiting(reason: str) -> Pod:
    return pod(containerStatuses=[container({"waiting": {"reason": reason, "message": "told so"}})])


FAILED = _jobset(
    conditions=[
        {"type": "Failed", "status": "True", "message": "no more", "lastTransitionTime": "2026-11-21T12:00:00Z"}
    ]
)
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


@pytest.mark.parametrize(
    ("jobset", "pods", "status", "reason"),
    [
        (FAILED, [ended(2, message="config is wrong")], Status.INVALID, "config is wrong"),
        (FAILED, [ended(137, "OOMKilled")], Status.FAILED, "OOMKilled"),
        (FAILED, [ended(1, message="ValueError: no")], Status.FAILED, "ValueError: no"),
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
def test_causes_are_named(tmp_path: Path, jobset: dict[str, Any], pods: list[Pod], status: Status, reason: str) -> None:
    plan = diamond(tmp_path)
    view = derive(plan, observed(plan, seen_with(plan, {"a": jobset}, {"a": pods})), supervised=True)
    job = next(job for job in view.jobs if job.name == "a")
    assert job.status is status
    assert reason in job.reason


def test_what_needs_a_failed_job_is_blocked_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    seen = seen_with(plan, {"a": FAILED, "b": _jobset()}, {"a": [ended(1)], "b": [pod("Running")]})
    view = derive(plan, observed(plan, seen), supervised=True)
    assert {job.name: str(job.status) for job in view.jobs} == {
        "a": "failed", "b": "running", "c": "blocked", "d": "blocked",
    }  # fmt: skip


def test_a_job_that_nobody_will_apply_is_lost(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    completed = _jobset(
        conditions=[{"type": "Completed", "status": "True", "lastTransitionTime": "2026-11-21T12:00:00Z"}]
    )
    there = observed(plan, seen_with(plan, {"a": completed, "b": _jobset()}))
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
    assert found.metadata is not None
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
