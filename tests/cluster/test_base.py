"""k8s/base with its queue, applied as a user applies it: MLflow on PostgreSQL behind a password."""

import base64
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import project_image
import pytest
import yaml
from mlflow.tracking import MlflowClient

from .cluster import Cluster
from .namespaces import environment
from .site import IMAGE, SLOW

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]

K8S = Path(__file__).parents[2] / "k8s"
POSTGRES = "locat.test/postgres"
VOLUMES = {"locat-runs": "1Ti", "mlflow-artifacts": "100Gi", "data-postgres-0": "20Gi"}


@pytest.fixture(scope="module")
def base(cluster: Cluster, image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The namespace it is applied to, with MLflow ready."""
    cluster.import_image(project_image.built(project_image.POSTGRES), f"{POSTGRES}:test")
    cluster.install_kueue()
    namespace = f"base-{time.time_ns() % 10**6}"
    for name, size in VOLUMES.items():
        cluster.volume(name, namespace, size=size, claim=False)
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
        "mlflow-server": ("POSTGRES_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"),
        "mlflow-client": ("MLFLOW_TRACKING_PASSWORD",),
    }.items():
        values = [f"--from-literal={key}={secrets.token_hex(16)}" for key in keys]
        values += ["--from-literal=MLFLOW_TRACKING_USERNAME=somebody"] if name == "mlflow-client" else []
        cluster.kubectl("-n", namespace, "create", "secret", "generic", name, *values)
    cluster.kubectl("apply", "--server-side", "-k", str(folder))
    try:
        until_ready(cluster, namespace)
    except AssertionError as error:
        error.add_note(cluster.kubectl("-n", namespace, "describe", "pods"))
        raise
    yield namespace
    cluster.kubectl("delete", "clusterqueue/locat", "resourceflavor/locat", f"namespace/{namespace}", "--wait=false")


def until_ready(cluster: Cluster, namespace: str) -> None:
    ready = "{.status.readyReplicas}/{.status.replicas}/{.status.updatedReplicas}"
    for workload in ("statefulset/postgres", "deployment/mlflow"):
        state = ("-n", namespace, "get", workload, "-o", f"jsonpath={ready}")
        cluster.until(lambda state=state: cluster.kubectl(*state) == "1/1/1", workload, SLOW)


@contextmanager
def forwarded(cluster: Cluster, namespace: str) -> Iterator[str]:
    """Address at which this machine finds the namespace's MLflow."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*cluster.client, "port-forward", "-n", namespace, "service/mlflow", f"{port}:5000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as forward:
        assert forward.stdout is not None
        assert "Forwarding" in forward.stdout.readline()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            forward.terminate()


def test_mlflow_keeps_numbers_and_files_behind_a_password(
    cluster: Cluster, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figure.txt").write_text("a figure")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        secret = cluster.kubectl("-n", base, "get", "secret", "mlflow-client", "-o", f"jsonpath={{.data.{name}}}")
        monkeypatch.setenv(name, base64.b64decode(secret).decode())
    with forwarded(cluster, base) as uri:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1")
        assert refused.value.code == 401
        client = MlflowClient(uri)
        run = client.create_run(client.create_experiment("digits")).info.run_id
        client.log_metric(run, "loss", 0.5, step=3)
        client.log_artifact(run, str(tmp_path / "figure.txt"))

    cluster.kubectl("-n", base, "delete", "pod", "-l", "app.kubernetes.io/component in (mlflow,postgres)")
    until_ready(cluster, base)
    with forwarded(cluster, base) as uri:
        client = MlflowClient(uri)
        assert client.get_run(run).data.metrics == {"loss": 0.5}
        assert Path(client.download_artifacts(run, "figure.txt", str(tmp_path))).read_text() == "a figure"


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


def test_the_queue_takes_runs(cluster: Cluster, base: str) -> None:
    active = '{.status.conditions[?(@.type=="Active")].status}'
    query = ("-n", base, "get", "localqueue", "locat", "-o", f"jsonpath={active}")
    cluster.until(lambda: cluster.kubectl(*query) == "True", "the queue")


def test_one_node_needs_no_shared_storage(cluster: Cluster) -> None:
    manifests = yaml.safe_load_all(cluster.kubectl("kustomize", str(K8S / "overlays" / "single-node")))
    claims = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "PersistentVolumeClaim"}
    assert claims["locat-runs"]["spec"]["accessModes"] == ["ReadWriteOnce"]
