"""k8s/base with its queue, applied as a user applies it: MLflow on PostgreSQL behind a password."""

import base64
import json
import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.tracking import MlflowClient

from launcher.backends import BACKENDS
from launcher.backends.checks import Check
from support.documents import blocks

from . import network
from .base import POSTGRES, credentials, prepare, secret, until_ready
from .cluster import Cluster
from .pods import pod, pod_spec
from .site import IMAGE

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]

K8S = Path(__file__).parents[2] / "k8s"


@pytest.fixture(scope="module")
def base(cluster: Cluster, image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The namespace it is applied to, with MLflow ready."""
    namespace = f"base-{time.time_ns() % 10**6}"
    prepare(cluster, namespace)
    folder = tmp_path_factory.mktemp("overlay")
    overlay = {
        "namespace": namespace,
        "resources": [os.path.relpath(K8S / "overlays" / "kueue", folder)],
        "images": [
            {"name": "registry.example/locat", "newName": IMAGE.partition(":")[0], "newTag": "test"},
            {"name": "postgres", "newName": POSTGRES, "newTag": "test"},
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    cluster.kubectl("create", "namespace", namespace)
    for name, keys in {
        "mlflow-server": ("POSTGRES_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_AUTH_ADMIN_PASSWORD"),
        "mlflow-client": ("MLFLOW_TRACKING_PASSWORD",),
    }.items():
        values = [f"--from-literal={key}={secrets.token_hex(16)}" for key in keys]
        values += ["--from-literal=MLFLOW_TRACKING_USERNAME=somebody"] if name == "mlflow-client" else []
        cluster.kubectl("-n", namespace, "create", "secret", "generic", name, *values)
    cluster.kubectl("apply", "--server-side", "-k", str(folder))
    until_ready(cluster, namespace)
    yield namespace
    cluster.kubectl("delete", "clusterqueue/locat", "resourceflavor/locat", f"namespace/{namespace}", "--wait=false")


@dataclass(frozen=True)
class Person:
    """A user of MLflow."""

    uri: str
    name: str
    password: str

    def asks(self, path: str, method: str = "POST", **body: object) -> Any:
        """What the API answers.

        Raises:
            HTTPError: it refuses.
        """
        login = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        url = f"{self.uri}/api/2.0/mlflow/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def may_not(self, path: str, method: str = "POST", **body: object) -> None:
        with pytest.raises(urllib.error.HTTPError) as refused:
            self.asks(path, method, **body)
        assert refused.value.code == 403


def administrator(cluster: Cluster, namespace: str, uri: str) -> Person:
    return Person(uri, "admin", secret(cluster, namespace, "mlflow-server", "MLFLOW_AUTH_ADMIN_PASSWORD"))


def job(cluster: Cluster, namespace: str, uri: str) -> Person:
    """What jobs are."""
    return Person(uri, *credentials(cluster, namespace).values())


def test_mlflow_keeps_numbers_and_files_behind_a_password(
    cluster: Cluster, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figure.txt").write_text("a figure")
    for name, value in credentials(cluster, base).items():
        monkeypatch.setenv(name, value)
    with cluster.forwarded(base, "service/mlflow", 5000) as uri:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1")
        assert refused.value.code == 401
        client = MlflowClient(uri)
        run = client.create_run(client.create_experiment("digits")).info.run_id
        client.log_metric(run, "loss", 0.5, step=3)
        client.log_artifact(run, str(tmp_path / "figure.txt"))
        # What becomes of accounts does not outlive a restart: the secrets have them.
        admin = administrator(cluster, base, uri)
        admin.asks("users/update-admin", "PATCH", username="somebody", is_admin=True)
        admin.asks("users/update-password", "PATCH", username="somebody", password="of another kind")

    cluster.kubectl("-n", base, "delete", "pod", "-l", "app.kubernetes.io/component in (mlflow,postgres)")
    until_ready(cluster, base)
    with cluster.forwarded(base, "service/mlflow", 5000) as uri:
        client = MlflowClient(uri)
        assert client.get_run(run).data.metrics == {"loss": 0.5}
        assert Path(client.download_artifacts(run, "figure.txt", str(tmp_path))).read_text() == "a figure"
        job(cluster, base, uri).may_not("users/create", username="another", password="0123456789abcdef")


def test_jobs_write_to_what_they_made_and_administer_nothing(cluster: Cluster, base: str) -> None:
    with cluster.forwarded(base, "service/mlflow", 5000) as uri:
        admin, it = administrator(cluster, base, uri), job(cluster, base, uri)
        theirs, its = (who.asks("experiments/create", name=f"of {who.name}")["experiment_id"] for who in (admin, it))
        run, own = (
            who.asks("runs/create", experiment_id=experiment)["run"]["info"]
            for who, experiment in ((admin, theirs), (it, its))
        )
        admin.asks("registered-models/create", name="theirs")
        it.asks("runs/log-metric", run_id=own["run_id"], key="loss", value=0.5, timestamp=1)
        it.asks("experiments/set-experiment-tag", experiment_id=its, key="a", value="b")
        it.asks("registered-models/create", name="its")
        version = {"name": "its", "source": own["artifact_uri"], "run_id": own["run_id"]}
        it.asks("model-versions/create", **version)

        it.may_not("experiments/delete", experiment_id=theirs)
        it.may_not("experiments/delete", experiment_id=its)
        it.may_not("experiments/update", experiment_id=theirs, new_name="another")
        it.may_not("runs/create", experiment_id=theirs)
        it.may_not("runs/log-metric", run_id=run["run_id"], key="loss", value=0.5, timestamp=1)
        it.may_not("runs/delete", run_id=run["run_id"])
        it.may_not("model-versions/create", **{**version, "name": "theirs"})
        for name in ("theirs", "its"):
            it.may_not("registered-models/delete", "DELETE", name=name)
        it.may_not("users/create", username="another", password="0123456789abcdef")
        it.may_not("users/update-admin", "PATCH", username=it.name, is_admin=True)
        it.may_not("users/update-password", "PATCH", username="admin", password="0123456789abcdef")
        it.may_not("users/delete", "DELETE", username="admin")


@pytest.mark.parametrize(
    ("host", "code"), [("mlflow:5000", 401), ("localhost:1", 401), ("mlflow.attacker.example", 403)]
)
def test_mlflow_answers_to_its_own_names_only(cluster: Cluster, base: str, host: str, code: int) -> None:
    with cluster.forwarded(base, "service/mlflow", 5000) as uri:
        request = urllib.request.Request(
            f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == code


def test_pods_below_the_restricted_standard_are_refused(cluster: Cluster, base: str) -> None:
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        cluster.kubectl("-n", base, "run", "root", f"--image={IMAGE}", "--restart=Never")


def test_accounts_may_do_what_they_need_and_no_more(cluster: Cluster, base: str) -> None:
    def allowed(account: str) -> set[str]:
        said = cluster.kubectl(
            "auth", "can-i", "--list", "-n", base, f"--as=system:serviceaccount:{base}:{account}", "--no-headers"
        )
        lines = [line for line in said.splitlines() if not line.lstrip().startswith("[")]  # what everybody may read
        return {line for line in lines if "selfsubject" not in line}

    (jobsets,) = allowed("locat-advance")
    assert jobsets.startswith("jobsets.jobset.x-k8s.io")
    assert jobsets.endswith("[get list create patch]")
    assert allowed("locat-job") == allowed("mlflow") == set()


def test_pods_reach_what_the_policies_name_and_nothing_else(cluster: Cluster, base: str) -> None:
    def start(name: str, namespace: str, component: str, *arguments: str) -> None:
        labels = {"app.kubernetes.io/component": component}
        cluster.kubectl("apply", "-f", "-", input=json.dumps(pod(name, namespace, pod_spec(*arguments), **labels)))

    def address(name: str, port: int, namespace: str = base) -> str:
        query = ("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.podIP}")
        cluster.until(lambda: cluster.kubectl(*query), f"{name}'s address")
        return f"{cluster.kubectl(*query)}:{port}"

    def service(name: str, namespace: str) -> str:
        return cluster.kubectl("-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")

    def reached(namespace: str, component: str) -> set[str]:
        query = ("-n", namespace, "get", "pod", f"asks-as-{component}", "-o", "jsonpath={.status.phase}")
        cluster.until(lambda: cluster.kubectl(*query) == "Succeeded", f"{component}'s end")
        return {known[each] for each in cluster.kubectl("-n", namespace, "logs", f"asks-as-{component}").splitlines()}

    start("peer", base, "train", "serve", ":29400")
    start("elsewhere", "default", "train", "serve", ":6443")
    for name, namespace in (("peer", base), ("elsewhere", "default")):
        cluster.kubectl("-n", namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=300s")
    known = {
        f"mlflow.{base}.svc.cluster.local:5000": "mlflow by name",
        f"{service('mlflow', base)}:5000": "mlflow",
        f"{service('kubernetes', 'default')}:443": "API server",
        f"{network.SWITCH}:10257": "controllers",
        address("postgres-0", 5432): "database",
        address("peer", 29400): "peer",
        address("elsewhere", 6443, "default"): "elsewhere",
    }
    expected = {
        (base, "train"): {"mlflow by name", "mlflow"},
        (base, "advance"): {"API server", "elsewhere"},
        (base, "another"): set(),
        ("default", "train"): {"API server", "controllers", "elsewhere"},  # of a namespace without policies
    }
    for namespace, component in expected:
        start(f"asks-as-{component}", namespace, component, "dial", *known)
    assert {each: reached(*each) for each in expected} == expected
    cluster.kubectl("-n", "default", "delete", "pod", "asks-as-train")
    cluster.kubectl("-n", base, "delete", "pod", "asks-as-advance")
    (narrow,) = (content for _, content in blocks((K8S / "README.md").read_text()) if "patch networkpolicy" in content)
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "PATH": f"{cluster.folder / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", "-c", narrow.replace("--namespace locat", f"--namespace {base}")], env=environment, check=True
    )
    start("asks-as-advance", base, "advance", "dial", *known)
    assert reached(base, "advance") == {"API server"}
    cluster.kubectl("-n", "default", "delete", "pod", "elsewhere", "--wait=false")
    # One after the other, and after those: as long as it runs, such a pod is taken for the service.
    for component, its in {"mlflow": {"database"}, "postgres": set()}.items():
        start(f"asks-as-{component}", base, component, "dial", *known)
        assert reached(base, component) - {"mlflow", "mlflow by name"} == its


@pytest.mark.parametrize("example", ["base", "digits"])
@pytest.mark.parametrize("way", ["-f", "-k"])
def test_the_examples_are_accepted(cluster: Cluster, base: str, example: str, way: str) -> None:
    folder = K8S / "examples" / example
    said = cluster.kubectl("-n", base, "apply", "--dry-run=server", way, str(folder))
    assert len(said.splitlines()) == len(list(folder.glob("*.yaml")))
    assert all(line.endswith("created (server dry run)") for line in said.splitlines())


def test_doctor_names_what_is_missing(
    cluster: Cluster, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    def bad(**context: str) -> dict[str, Check]:
        options = [f"--{key}={value}" for key, value in context.items()]
        cluster.kubectl("config", "set-context", "--current", *options, f"--kubeconfig={kubeconfig}")
        return {check.subject: check for check in BACKENDS["kubernetes"].checks() if not check.good}

    assert set(bad(namespace=base)) <= {"GPUs"}
    needed = {subject for subject, check in bad(namespace="default").items() if check.needed}
    assert needed == {"service account locat-job", "service account locat-advance", "claim locat-runs"}
    token = cluster.kubectl("-n", base, "create", "token", "locat-advance").strip()
    cluster.kubectl("config", "set-credentials", "advance", f"--token={token}", f"--kubeconfig={kubeconfig}")
    seen = bad(namespace=base, user="advance")
    assert "delete jobsets, create networkpolicies, patch networkpolicies, get configmaps" in seen["permissions"].found
    assert "cannot tell" in seen["claim locat-runs"].found


def test_the_queue_takes_runs(cluster: Cluster, base: str) -> None:
    active = '{.status.conditions[?(@.type=="Active")].status}'
    query = ("-n", base, "get", "localqueue", "locat", "-o", f"jsonpath={active}")
    cluster.until(lambda: cluster.kubectl(*query) == "True", "the queue")


def test_one_node_needs_no_shared_storage(cluster: Cluster) -> None:
    manifests = yaml.safe_load_all(cluster.kubectl("kustomize", str(K8S / "overlays" / "single-node")))
    claims = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "PersistentVolumeClaim"}
    assert claims["locat-runs"]["spec"]["accessModes"] == ["ReadWriteOnce"]
