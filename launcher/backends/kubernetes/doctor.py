"""What a cluster must have for runs: asked of the cluster itself, with what this user may ask."""

from collections.abc import Iterator

from lightkube import Client
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.core_v1 import Node, PersistentVolumeClaim, Service, ServiceAccount
from lightkube.resources.storage_v1 import StorageClass

from launcher.backends.checks import Check
from launcher.backends.kubernetes import allowance, pod_template
from launcher.backends.kubernetes.cluster import (
    INSTALL_JOBSET,
    Cluster,
    KubernetesError,
    Missing,
    translated,
)

RIGHTS = {
    ("jobset.x-k8s.io", "jobsets"): ("get", "list", "watch", "create", "patch", "delete"),
    ("networking.k8s.io", "networkpolicies"): ("create", "patch"),
    ("", "configmaps"): ("get", "list", "create", "patch"),
    ("", "pods"): ("list", "watch", "delete"),
    ("", "pods/log"): ("get",),
    ("", "events"): ("list",),
}
"""Group and resource -> what `submit`, `status`, `logs`, `cancel` and `retry` do with it."""
INSTALL_BASE = "kubectl apply -k k8s/base"


def checks(cluster: Cluster) -> Iterator[Check]:
    """Everything that is looked at, in the order it is needed."""
    try:
        client = cluster.client
        rights = _rights(client)
    except KubernetesError as error:
        yield Check("cluster", False, str(error), "see `kubectl cluster-info`")
        return
    yield Check("cluster", True, f"context {client.config.context_name}, namespace {client.namespace}", "")
    yield _jobset(client)
    yield _kueue(client)
    yield rights
    yield from _accounts(client)
    yield _limits(cluster)
    yield _claim(client)
    yield _mlflow(client)
    yield _gpus(client)


def _jobset(client: Client) -> Check:
    remedy = INSTALL_JOBSET
    try:
        with translated():
            found = client.get(CustomResourceDefinition, "jobsets.jobset.x-k8s.io")
    except Missing:
        return Check("JobSet", False, "not installed", remedy)
    except KubernetesError as error:
        return Check("JobSet", False, f"cannot tell: {error}", remedy, needed=False)
    versions = {version.name: str(version.schema) for version in found.spec.versions}
    served = ", ".join(versions)
    good = "BlockingRecreate" in versions.get("v1alpha2", "") and "dependsOn" in versions.get("v1alpha2", "")
    return Check("JobSet", good, served if good else f"{served}, older than 0.10", remedy)


def _kueue(client: Client) -> Check:
    remedy = "only for options.kubernetes.queue: install Kueue (docs/kubernetes.md)"
    try:
        with translated():
            found = client.get(CustomResourceDefinition, "workloads.kueue.x-k8s.io")
    except KubernetesError:
        return Check("Kueue", False, "not installed, or not to be seen", remedy, needed=False)
    return Check("Kueue", True, ", ".join(version.name for version in found.spec.versions), remedy, needed=False)


def _rights(client: Client) -> Check:
    lacking = []
    for (group, resource), verbs in RIGHTS.items():
        kind, _, part = resource.partition("/")
        for verb in verbs:
            asked = ResourceAttributes(
                group=group, resource=kind, subresource=part or None, verb=verb, namespace=client.namespace
            )
            with translated():
                review = client.create(
                    SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
                )
            if review.status is None or not review.status.allowed:
                lacking.append(f"{verb} {resource}")
    found = f"may not {', '.join(lacking)}" if lacking else "all that the verbs need"
    return Check("permissions", not lacking, found, f"ask the administrator of {client.namespace} for them")


def _accounts(client: Client) -> Iterator[Check]:
    for name in (pod_template.JOB_ACCOUNT, pod_template.ADVANCE_ACCOUNT):
        try:
            with translated():
                client.get(ServiceAccount, name)
        except Missing:
            yield Check(f"service account {name}", False, "none", INSTALL_BASE)
        except KubernetesError as error:
            yield Check(f"service account {name}", False, f"cannot tell: {error}", INSTALL_BASE, needed=False)
        else:
            yield Check(f"service account {name}", True, "there", "")


def _limits(cluster: Cluster) -> Check:
    subject = "limits of advance"
    try:
        limited = allowance.ACCOUNTS in cluster.annotations()
    except KubernetesError as error:
        return Check(subject, False, f"cannot tell: {error}", INSTALL_BASE, needed=False)
    found = "annotations of the namespace" if limited else "none: its token may use every Secret of the namespace"
    return Check(subject, limited, found, INSTALL_BASE, needed=False)


def _claim(client: Client) -> Check:
    name = pod_template.RUNS_CLAIM
    try:
        with translated():
            claim = client.get(PersistentVolumeClaim, name)
    except Missing:
        return Check(f"claim {name}", False, f"none; storage classes: {_classes(client)}", INSTALL_BASE)
    except KubernetesError as error:
        return Check(f"claim {name}", False, f"cannot tell: {error}", INSTALL_BASE, needed=False)
    phase = (claim.status.phase if claim.status else None) or "unknown"
    modes = ", ".join((claim.spec.accessModes if claim.spec else None) or [])
    remedy = f"give it a storage class that can ({_classes(client)})"
    # A class that waits for its first consumer leaves the claim pending until then.
    return Check(f"claim {name}", phase == "Bound", f"{phase}, {modes}", remedy, needed=False)


def _classes(client: Client) -> str:
    try:
        with translated():
            return ", ".join(each.metadata.name or "" for each in client.list(StorageClass) if each.metadata) or "none"
    except KubernetesError:
        return "not to be seen"


def _mlflow(client: Client) -> Check:
    remedy = f"{INSTALL_BASE}, or name another server under `tracking.uri`"
    try:
        with translated():
            client.get(Service, "mlflow")
    except KubernetesError:
        return Check("MLflow", False, "no service `mlflow` in the namespace", remedy, needed=False)
    return Check("MLflow", True, "service mlflow", remedy, needed=False)


def _gpus(client: Client) -> Check:
    remedy = "only for jobs that ask for GPUs: install NVIDIA's device plugin"
    try:
        with translated():
            nodes = list(client.list(Node))
    except KubernetesError:
        return Check("GPUs", False, "nodes are not to be seen by this user", remedy, needed=False)
    allocatable = [(node.status.allocatable if node.status else None) or {} for node in nodes]
    total = sum(int(each.get(pod_template.GPU, 0)) for each in allocatable)
    return Check("GPUs", total > 0, f"{total} on {len(nodes)} nodes", remedy, needed=False)
