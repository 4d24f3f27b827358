"""k8s/base in a namespace: what the tests give it, and how they reach its MLflow."""

import base64
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import project_image

from .cluster import Cluster
from .namespaces import environment
from .site import SLOW

POSTGRES = "locat.test/postgres"
VOLUMES = {"locat-runs": "1Ti", "mlflow-artifacts": "100Gi", "data-postgres-0": "20Gi"}


def prepare(cluster: Cluster, namespace: str) -> Path:
    """The volumes that it claims, PostgreSQL's image, and Kueue; returns the folder of the volume of runs."""
    cluster.import_image(project_image.built(project_image.POSTGRES), f"{POSTGRES}:test")
    cluster.install_kueue()
    folders = {name: cluster.volume(name, namespace, size=size, claim=False) for name, size in VOLUMES.items()}
    return folders["locat-runs"]


def until_ready(cluster: Cluster, namespace: str) -> None:
    """Wait for PostgreSQL and MLflow; a failure describes their pods."""
    ready = "{.status.readyReplicas}/{.status.replicas}/{.status.updatedReplicas}"
    for workload in ("statefulset/postgres", "deployment/mlflow"):
        state = ("-n", namespace, "get", workload, "-o", f"jsonpath={ready}")
        try:
            cluster.until(lambda state=state: cluster.kubectl(*state) == "1/1/1", workload, SLOW)
        except AssertionError as error:
            error.add_note(cluster.kubectl("-n", namespace, "describe", "pods"))
            raise


def credentials(cluster: Cluster, namespace: str) -> dict[str, str]:
    """What MLflow's clients take from the environment."""
    found = {}
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        secret = cluster.kubectl("-n", namespace, "get", "secret", "mlflow-client", "-o", f"jsonpath={{.data.{name}}}")
        found[name] = base64.b64decode(secret).decode()
    return found


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
