"""What `advance` may give the pods that it applies: what annotations of the namespace name, separated by blanks.

The cluster refuses the rest (k8s/base/advance-policy.yaml), but only when its turn comes; `submit` asks first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.manifests import jobset
from launcher.backends.kubernetes.pod_template import ADVANCE_ACCOUNT
from launcher.plan import Plan
from locat.contract.errors import UserError

SECRETS, CLAIMS, ACCOUNTS = "locat.dev/advance-secrets", "locat.dev/advance-claims", "locat.dev/advance-accounts"
_NAMED = {"claimName": CLAIMS, "secretName": SECRETS}
_REFERENCES = ("secretKeyRef", "secretRef", "nodePublishSecretRef", "secret")
"""Keys of a container or volume below which a Secret's `name` stands."""
VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("nfs", "persistentVolumeClaim", "projected", "secret"),
}
"""Kinds of volumes that the policy knows; all others are refused, whatever the annotations name."""


def check(plan: Plan, allowed: Mapping[str, str]) -> None:
    """Refuse a plan whose later jobs need what `advance` may not give them; `allowed` are the namespace's annotations.

    Raises:
        UserError: names the first one, and how it is allowed.
    """
    for job in plan.jobs:
        if not job.needs:
            continue  # it is applied by who submits, with rights of his own
        for volume in job.storage:
            if others := volume.source.keys() - VOLUMES:
                raise UserError(
                    f"job {job.name}: storage {volume.mount}: jobs that need others may not be given a volume of the"
                    f" kind {min(others)} here; let it be a claim (docs/kubernetes.md)"
                )
        for kind, name in _given(jobset(plan, job, [names.plan(plan.run_id)])):
            if name not in allowed.get(kind, "").split(" ") and (kind, name) != (ACCOUNTS, ADVANCE_ACCOUNT):
                raise UserError(
                    f"job {job.name}: jobs that need others may not be given {name} here; let the namespace's"
                    f" administrator add it to its annotation {kind} (`kubectl edit namespace`)"
                )


def _given(jobset: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The annotation, and the name, of all that an object's pods are given."""
    for each in jobset["spec"]["replicatedJobs"]:
        pod = each["template"]["spec"]["template"]["spec"]
        yield ACCOUNTS, pod["serviceAccountName"]
        yield from ((SECRETS, secret["name"]) for secret in pod.get("imagePullSecrets", ()))
        yield from _used([pod["containers"], pod["volumes"]])


def _used(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _used(each)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _NAMED:
                yield _NAMED[key], inner
            elif key in _REFERENCES and "name" in inner:
                yield SECRETS, inner["name"]
            elif key != "volumeAttributes":  # what a driver makes of these is its own
                yield from _used(inner)
