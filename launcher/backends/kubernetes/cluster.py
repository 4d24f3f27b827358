"""What is asked of a Kubernetes API server, and its answers in words that users recognise."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
import msgspec
from lightkube import ApiError, Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConditionError, ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.operators import exists
from lightkube.resources.core_v1 import ConfigMap, Event, Namespace
from lightkube.resources.networking_v1 import NetworkPolicy
from lightkube.types import CascadeType, PatchType

from launcher.backends.base import NoAnswerError
from launcher.backends.errors import BackendError
from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.api_objects import JobSet, Pod, WholeJobSet

Workload = create_namespaced_resource("kueue.x-k8s.io", "v1beta2", "Workload", "workloads")
KINDS: dict[str, Any] = {"ConfigMap": ConfigMap, "NetworkPolicy": NetworkPolicy, "JobSet": WholeJobSet}
"""What a run is made of."""
PAGE = 500
"""Objects of one answer to a list."""
AT_ONCE = 8
"""Requests under way while many objects are applied."""
TIMEOUT = 30.0
"""Seconds the API server may take to answer."""
INSTALL_JOBSET = "install JobSet 0.12 (docs/kubernetes.md), or ask the cluster's administrator"
REMEDIES = {
    401: "log in again, or correct the user of your kubeconfig",
    403: "`launcher doctor --backend kubernetes` lists the rights that are missing",
}


class KubernetesError(BackendError):
    """The cluster did not do what it was asked."""


@dataclass(frozen=True)
class Cluster:
    """One namespace of a cluster, by a context of the user's kubeconfig, or from inside a pod."""

    context: str = ""
    """Of the kubeconfig; empty: the current one, or the pod's own service account."""
    namespace: str = ""
    """Empty: the context's own."""

    @cached_property
    def client(self) -> Client:
        try:
            config = KubeConfig.from_env()
            return Client(
                config.get(self.context or None),
                namespace=self.namespace or None,
                timeout=httpx2.Timeout(TIMEOUT),
                field_manager=names.FIELD_MANAGER,
            )
        except (ConfigError, OSError) as error:
            remedy = "name a kubeconfig by KUBECONFIG, and a context with `kubectl config use-context`"
            raise KubernetesError(f"no cluster is configured: {error}; {remedy}") from error

    def where(self) -> "Cluster":
        """The same, with names in place of what is current now."""
        return Cluster(self.client.config.context_name, self.client.namespace)

    def apply(self, manifest: dict[str, Any], dry_run: bool = False) -> None:
        """Server-side apply of an object of one of `KINDS`."""
        with translated():
            kind = KINDS[manifest["kind"]]
            self.client.apply(kind.from_dict(manifest), force=True, dry_run=dry_run)

    def apply_all(self, manifests: Sequence[dict[str, Any]]) -> None:
        """Server-side apply of several, some at once; of those that fail the first error is raised."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.apply, manifests):
                pass

    def jobsets(self, run_id: str) -> list[JobSet]:
        """A run's JobSets, in one answer: in pages they take a fifth longer."""
        with translated():
            return list(self.client.list(JobSet, labels={names.RUN_LABEL: run_id}))

    def jobset(self, name: str) -> JobSet | None:
        """One JobSet; None if there is none."""
        try:
            with translated():
                return self.client.get(JobSet, name)
        except Missing:
            return None

    def pods(self, run_id: str) -> list[Pod]:
        """A run's pods, in one answer too."""
        with translated():
            return list(self.client.list(Pod, labels={names.RUN_LABEL: run_id}))

    def jobsets_and_pods(self, run_id: str) -> tuple[list[JobSet], list[Pod]]:
        """Both, asked for at once: the server prepares one answer while the other is read."""
        _ = self.client  # is made before two threads need it
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(self.pods, run_id)
            return self.jobsets(run_id), asked.result()

    def watch(self, kind: type, run_id: str) -> Iterator[object]:
        """Changes of a run's objects of one kind, as they come."""
        with translated():
            yield from self.client.watch(kind, labels={names.RUN_LABEL: run_id})

    def failed_creations(self) -> dict[str, str]:
        """Job name -> why its pods could not be created, of the namespace's recent events."""
        with translated():
            events = self.client.list(Event, fields={"reason": "FailedCreate"}, chunk_size=PAGE)
            return {event.involvedObject.name or "": event.message or "" for event in events}

    def quota_waits(self) -> dict[str, str]:
        """JobSet name -> why Kueue has not admitted it."""
        with translated():
            workloads = self.client.list(Workload, chunk_size=PAGE)
            return dict(_waits(workloads))

    def plans(self) -> dict[str, dict[str, str]]:
        """Run id -> data of its plan's ConfigMaps, of all runs of the namespace."""
        found: dict[str, dict[str, str]] = {}
        with translated():
            for part in self.client.list(ConfigMap, labels={names.RUN_LABEL: exists()}, chunk_size=PAGE):
                labels = (part.metadata.labels if part.metadata else None) or {}
                found.setdefault(labels[names.RUN_LABEL], {}).update(part.data or {})
        return found

    def config_map(self, name: str) -> dict[str, str] | None:
        """A ConfigMap's data; None if it is not there."""
        try:
            with translated():
                return self.client.get(ConfigMap, name).data or {}
        except Missing:
            return None

    def set_label(self, jobset: str, label: str, value: str) -> None:
        """Put a label on a JobSet."""
        with translated():
            self.client.patch(JobSet, jobset, {"metadata": {"labels": {label: value}}}, patch_type=PatchType.MERGE)

    def annotations(self) -> dict[str, str]:
        """The namespace's."""
        with translated():
            found = self.client.get(Namespace, self.client.namespace)
        return (found.metadata.annotations if found.metadata else None) or {}

    def change_data(self, config_map: str, key: str, change: Callable[[str], str]) -> None:
        """Change what a ConfigMap has under a key; where others were quicker, `change` is called again with theirs."""
        while True:
            with translated():
                found = self.client.get(ConfigMap, config_map)
            before = (found.data or {}).get(key, "")
            if (after := change(before)) == before:
                return
            version = found.metadata.resourceVersion if found.metadata else None
            patch = {"metadata": {"resourceVersion": version}, "data": {key: after or None}}
            with contextlib.suppress(Conflict), translated():
                self.client.patch(ConfigMap, config_map, patch, patch_type=PatchType.MERGE)
                return

    def delete_jobset(self, name: str) -> None:
        """Begin to delete a JobSet; it is gone when its pods are."""
        with contextlib.suppress(Missing), translated():
            self.client.delete(JobSet, name, cascade=CascadeType.FOREGROUND)

    def kill_pod(self, name: str) -> None:
        """Delete a pod with no time to stop in."""
        with contextlib.suppress(Missing), translated():
            self.client.delete(Pod, name, grace_period=1)

    def log(self, pod: str, follow: bool) -> Iterator[str]:
        """Lines that a pod's main container prints."""
        with translated():
            yield from self.client.log(pod, container=names.MAIN, follow=follow)


class UnansweredError(KubernetesError, NoAnswerError):
    """The API server does not answer, or is in trouble."""


class Missing(KubernetesError):
    """There is no such object."""


class Forbidden(KubernetesError):
    """This user may not do that."""


class Conflict(KubernetesError):
    """The object was changed since it was read."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """The API's errors as ours."""
    try:
        yield
    except ApiError as error:
        raise _explained(error) from error
    except (ConfigError, OSError) as error:  # of what the kubeconfig runs to get a token
        raise KubernetesError(f"no access to the cluster: {error}; log in again, or correct your kubeconfig") from error
    except msgspec.ValidationError as error:
        raise KubernetesError(f"the Kubernetes API answered what is not understood: {error}") from error
    except httpx2.HTTPStatusError as error:
        # In no words of the API's: it knows no such group of objects, or a proxy speaks.
        unknown = _not_installed(error) if error.response.status_code == 404 else None
        raise unknown or UnansweredError(f"the Kubernetes API does not answer: {error}") from error
    except (httpx2.HTTPError, ConditionError, msgspec.DecodeError) as error:  # what is no JSON is a proxy's page
        raise UnansweredError(f"the Kubernetes API does not answer: {error}; is the cluster reachable?") from error


def _explained(error: ApiError) -> KubernetesError:
    status = error.status
    message = status.message or str(error)
    if status.code == 404:
        unnamed = status.details is None or not status.details.name
        return (_not_installed(error) if unnamed else None) or Missing(message)
    if status.code == 409:
        return Conflict(message)
    if (status.code or 0) >= 500:
        return UnansweredError(message)
    remedy = REMEDIES.get(status.code or 0)
    kind = Forbidden if status.code == 403 else KubernetesError
    return kind(f"{message}; {remedy}" if remedy else message)


def _not_installed(error: httpx2.HTTPStatusError) -> KubernetesError | None:
    """What lacks if a whole kind of objects was not found."""
    path = error.request.url.path
    if "/jobsets" in path:
        return KubernetesError(f"JobSet is not installed in this cluster; {INSTALL_JOBSET}")
    if "/workloads" in path:
        return KubernetesError("Kueue is not installed in this cluster; leave options.kubernetes.queue out")
    return None


def _waits(workloads: Any) -> Iterator[tuple[str, str]]:
    for workload in workloads:
        owners = workload.metadata.ownerReferences or []
        for condition in (workload.status or {}).get("conditions", []):
            if condition["type"] == "QuotaReserved" and condition["status"] == "False":
                yield from ((owner.name, condition["message"]) for owner in owners if owner.kind == "JobSet")
