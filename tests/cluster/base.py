"""k8s/base in a namespace: what the tests give it."""

import base64
from pathlib import Path

from support import project_image

from .cluster import Cluster
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
    """What MLflow's clients take from the environment, for the user that jobs are."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    return {name: secret(cluster, namespace, "mlflow-client", name) for name in names}


def secret(cluster: Cluster, namespace: str, name: str, key: str) -> str:
    found = cluster.kubectl("-n", namespace, "get", "secret", name, "-o", f"jsonpath={{.data.{key}}}")
    return base64.b64decode(found).decode()
