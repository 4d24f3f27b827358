"""Manifests of small pods that tests run."""

from typing import Any

from .images import PROBE

Manifest = dict[str, Any]

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What restricted pod security asks of a pod."""


def pod_spec(*arguments: str, node: str = "", memory: str = "", claim: str = "") -> Manifest:
    """A pod that runs the probe with these arguments, once; a claim is mounted at /data."""
    container: Manifest = {
        "name": "main",
        "image": PROBE,
        "args": list(arguments),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "resources": {"limits": {"memory": memory}} if memory else {},
    }
    spec: Manifest = {
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": RESTRICTED,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    if claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return spec


def pod(name: str, namespace: str, spec: Manifest, **labels: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name, **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(name: str, namespace: str, port: int) -> Manifest:
    """For the pod of that name."""
    spec = {"selector": {"app": name}, "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def jobset(name: str, namespace: str, *jobs: tuple[str, Manifest]) -> Manifest:
    """Jobs of one pod each, each after the one before it."""
    replicated: list[Manifest] = []
    for job, spec in jobs:
        entry: Manifest = {"name": job, "template": {"spec": {"backoffLimit": 0, "template": {"spec": spec}}}}
        if replicated:
            entry["dependsOn"] = [{"name": replicated[-1]["name"], "status": "Complete"}]
        replicated.append(entry)
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicatedJobs": replicated},
    }
