"""What is rendered for Kubernetes, and what is refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launcher.backends import BACKENDS
from launcher.backends.kubernetes import allowance, config_maps, names
from launcher.backends.kubernetes.manifests import jobset, manifest_files, objects
from launcher.compile import secrets
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load, validate
from launcher.plan import Plan
from locat.contract.errors import ConfigError, UserError
from locat.contract.yaml_source import parse

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "k8s/examples"
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
      advance_image: registry.example/locat:ours
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
    assert [each["kind"] for each in objects(planned())] == ["ConfigMap", "NetworkPolicy", "JobSet"]


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
        "requests": {"cpu": "4", "nvidia.com/gpu": "4", "memory": "8Gi"},
        "limits": {"nvidia.com/gpu": "4", "memory": "8Gi"},
    }
    environment = {each["name"]: each for each in container["env"]}
    assert environment["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "locat-secrets", "key": "HF_TOKEN"}}
    host = f"{names.jobset('full-1', 'b')}-main-0-0.{names.jobset('full-1', 'b')}"
    assert environment["LOCAT_FIRST_POD"]["value"] == host


def test_a_job_that_nothing_needs_has_no_advance_and_keeps_nothing_running() -> None:
    assert [each["name"] for each in rendered("b")["spec"]["replicatedJobs"]] == ["main"]
    assert [each["name"] for each in rendered("a")["spec"]["replicatedJobs"]] == ["main", "advance"]
    advance_pod = rendered("a")["spec"]["replicatedJobs"][1]["template"]["spec"]["template"]["spec"]
    assert advance_pod["serviceAccountName"] == "locat-advance"
    assert "nvidia.com/gpu" not in str(advance_pod)
    images = [pod["containers"][0]["image"] for pod in (main_spec(rendered("a")), advance_pod)]
    assert images == ["registry.example/locat:1", "registry.example/locat:ours"]
    where = ("nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets")
    assert [advance_pod[key] for key in where] == [main_spec(rendered("a"))[key] for key in where]


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
        patch.setattr(config_maps, "LARGEST", 5_000)
        maps = config_maps.config_maps(large)
    assert all(len(text) <= 5_000 for each in maps for text in each["data"].values())
    data = {key: text for each in reversed(maps) for key, text in each["data"].items()}
    data[config_maps.CANCELLED] = "a\nb"
    assert config_maps.from_data(data) == large


def test_a_plan_that_somebody_else_made_is_taken_only_as_it_is_rendered() -> None:
    plan = planned()

    def taken(plan: Plan, **more: str) -> Plan | None:
        (part,) = config_maps.config_maps(plan)
        return config_maps.of_others("full-1", part["data"] | more)

    assert taken(plan) == plan
    outside = replace(plan.jobs[0], name="/tmp/outside")
    for other in (
        replace(plan, run_id="../full-1"),
        replace(plan, backend="local"),
        replace(plan, folder=Path("/home/me")),
        replace(plan, jobs=(outside,)),
        replace(plan, jobs=(replace(outside, name=".."),)),
    ):
        assert taken(other) is None
    assert taken(plan, **{"plan.0001.json": "{"}) is None  # a part is missing, or one too many
    assert taken(replace(plan, format=99)) is None
    assert config_maps.of_others("full-1", {"plan.0000.json": "[]"}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FULL.replace("  image: registry.example/locat:1\n", ""), "job a has no image"),
        (FULL.replace("claim: datasets, ", ""), "storage /datasets names neither a `claim` nor a `volume`"),
    ],
)
def test_what_can_never_run_is_refused_before_the_cluster_is_asked(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
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


def test_only_pods_of_one_job_reach_each_other() -> None:
    """A policy comes with each job of several nodes, before its pods; a job of one node needs none."""
    made = [each for each in objects(planned()) if each["kind"] == "NetworkPolicy"]
    several = [job for job in planned().jobs if job.resources.nodes > 1]
    assert [each["metadata"]["annotations"]["locat.dev/job"] for each in made] == [job.name for job in several]
    for each, job in zip(made, several, strict=True):
        own = {"jobset.sigs.k8s.io/jobset-name": names.jobset(planned().run_id, job.name)}
        pods = {"podSelector": {"matchLabels": {**own, "app.kubernetes.io/component": "train"}}}
        assert each["spec"]["podSelector"] == pods["podSelector"]
        assert (each["spec"]["ingress"], each["spec"]["egress"]) == ([{"from": [pods]}], [{"to": [pods]}])


ALLOWED = {
    allowance.SECRETS: "mlflow-client locat-secrets registry",
    allowance.CLAIMS: "locat-runs datasets",
    allowance.ACCOUNTS: "locat-job",
}


@pytest.mark.parametrize(
    ("annotation", "those", "lacks"),
    [
        (allowance.SECRETS, "mlflow-client locat-secrets", "registry"),
        (allowance.SECRETS, "mlflow-client registry", "locat-secrets"),
        (allowance.SECRETS, "locat-secrets registry", "mlflow-client"),
        (allowance.CLAIMS, "locat-runs", "datasets"),
        (allowance.CLAIMS, "locat-runs\ndatasets", "locat-runs"),  # the policy cuts at single blanks
        (allowance.ACCOUNTS, "", "locat-job"),
    ],
)
def test_what_later_jobs_are_given_must_be_allowed_in_the_namespace(annotation: str, those: str, lacks: str) -> None:
    allowance.check(planned(), ALLOWED)
    with pytest.raises(UserError, match=rf"job b: .* may not be given {lacks} here; .* its annotation {annotation} \("):
        allowance.check(planned(), {**ALLOWED, annotation: those})


def test_a_kind_of_volume_that_advance_may_not_give_is_refused_before_anything_runs() -> None:
    policy = (ROOT / "k8s/base/advance-policy.yaml").read_text()
    assert set(re.findall(r"has\(volume\.(\w+)\)", policy)) == allowance.VOLUMES
    local = FULL.replace("nfs: {server: files.example, path: /scratch}", "hostPath: {path: /scratch}")
    with pytest.raises(UserError, match=r"^job b: storage /scratch: .* a volume of the kind hostPath here"):
        allowance.check(planned(local), ALLOWED)


def test_only_what_pods_are_given_counts() -> None:
    """Neither a label of nodes, nor what a driver is told."""
    labelled = FULL.replace("pool: gpu", "secret: by-name")
    told = "csi: {driver: csi.example, volumeAttributes: {secret: its-name, secretName: x}}"
    for text in (labelled, FULL.replace("nfs: {server: files.example, path: /scratch}", told)):
        allowance.check(planned(text), ALLOWED)
    secret = FULL.replace("nfs: {server: files.example, path: /scratch}", "secret: {secretName: locat-advance}")
    with pytest.raises(
        UserError, match=r"^job b: .* may not be given locat-advance here; .* locat.dev/advance-secrets"
    ):
        allowance.check(planned(secret), ALLOWED)


def test_what_the_first_jobs_are_given_is_for_who_submits_to_allow() -> None:
    jobs = [job for job in planned().jobs if not job.needs]
    allowance.check(replace(planned(), jobs=tuple(jobs)), {})
