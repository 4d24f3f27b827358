"""What the token of `advance` is worth on the real cluster: what the plan needs of it, and no more."""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.backends import BACKENDS
from launcher.backends.kubernetes import allowance, names
from launcher.backends.kubernetes.manifests import jobset
from launcher.plan import Plan
from locat.contract.errors import UserError
from support.kubernetes_objects import diamond

from .cluster import Cluster
from .site import IMAGE, Site, make_site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]
Object = dict[str, Any]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """`d` needs `a`, and has secrets."""
    plan = diamond(tmp_path_factory.mktemp("plan"))
    jobs = tuple(replace(job, image=IMAGE) for job in plan.jobs)
    return replace(plan, jobs=jobs, secrets=("HF_TOKEN",), folder=Path("/runs") / plan.run_id)


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A namespace of the base's accounts and policy, which is in force."""
    site = make_site(cluster, f"advance-{uuid.uuid4().hex[:6]}", tmp_path_factory.mktemp("here"))
    bad = {"volumes": [{"name": "x", "secret": {"secretName": "mlflow-server"}}]}
    site.until(lambda: "no pod a volume" in as_advance(site, with_pod(trivial(), bad)), "the policy")
    with pytest.MonkeyPatch.context() as patch, site.current(patch):
        yield site
    cluster.kubectl("delete", f"namespace/{site.namespace}", "--wait=false")


def trivial() -> Object:
    container = {"name": "main", "image": IMAGE}
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": "locat-job",
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    pod = {"metadata": {"labels": {names.COMPONENT_LABEL: names.TRAIN}}, "spec": spec}
    replicated = [{"name": "main", "template": {"spec": {"template": pod}}}]
    return {
        "apiVersion": names.JOBSET_API,
        "kind": "JobSet",
        "metadata": {"name": "trivial"},
        "spec": {"replicatedJobs": replicated},
    }


def with_pod(manifest: Object, changes: Object) -> Object:
    """The same, its main pods changed."""
    changed = copy.deepcopy(manifest)
    changed["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"] |= changes
    return changed


def of_component(manifest: Object, component: str) -> Object:
    """The same, its main pods labelled as others'."""
    changed = copy.deepcopy(manifest)
    template = changed["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    template["metadata"]["labels"][names.COMPONENT_LABEL] = component
    return changed


def with_container(manifest: Object, changes: Object) -> Object:
    spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return with_pod(manifest, {"containers": [{**spec["containers"][0], **changes}]})


def as_advance(site: Site, manifest: Object, *verb: str) -> str:
    """What the API server says to who has the token of `advance`; nothing is kept."""
    account = f"--as=system:serviceaccount:{site.namespace}:locat-advance"
    verb = verb or ("create", "--dry-run=server")
    try:
        return site.kubectl(*verb, account, "-f", "-", input=json.dumps(manifest))
    except RuntimeError as error:
        return str(error)


def test_what_a_plan_needs_is_applied_once_and_again(site: Site, plan: Plan) -> None:
    for job in plan.jobs:
        manifest = jobset(plan, job, [names.plan(plan.run_id)])
        apply = ("apply", "--server-side", f"--field-manager={names.FIELD_MANAGER}")
        for _ in range(2):
            assert "serverside-applied" in as_advance(site, manifest, *apply)
    marked = ("label", f"--as=system:serviceaccount:{site.namespace}:locat-advance", "jobset", "--all")
    assert "labeled" in site.kubectl(*marked, f"{names.DONE_LABEL}=true")
    site.kubectl("delete", "jobsets", "--all")


BY_VOLUME = {
    "secret": {"secret": {"secretName": "mlflow-server"}},
    "token": {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    "projected secret": {
        "projected": {"sources": [{"configMap": {"name": "a"}}, {"secret": {"name": "mlflow-server"}}]}
    },
    "claim": {"persistentVolumeClaim": {"claimName": "mlflow-artifacts"}},
    "node": {"hostPath": {"path": "/"}},
    "driver's secret": {"csi": {"driver": "csi.example", "nodePublishSecretRef": {"name": "mlflow-server"}}},
    "copy of a claim": {
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "dataSource": {"apiGroup": "", "kind": "PersistentVolumeClaim", "name": "mlflow-artifacts"},
                }
            }
        }
    },
}
OF_POD = {
    "account": {"serviceAccountName": "mlflow"},
    "token of the account": {"automountServiceAccountToken": True},
    "no account": {"serviceAccountName": ""},
    "pull secret": {"imagePullSecrets": [{"name": "mlflow-server"}]},
    "secret of another container": {
        "initContainers": [{"name": "i", "image": IMAGE, "envFrom": [{"secretRef": {"name": "mlflow-server"}}]}]
    },
}
KEY = {"name": "mlflow-server", "key": "POSTGRES_PASSWORD"}
OF_CONTAINER = {
    "variable": {"env": [{"name": "HOME", "value": "/tmp"}, {"name": "X", "valueFrom": {"secretKeyRef": KEY}}]},
    "variables": {"envFrom": [{"secretRef": {"name": "mlflow-server"}}]},
}

COMPONENTS = ("mlflow", "postgres")
"""Labels by which Services would send a pod what others are told, passwords included."""


@pytest.mark.parametrize(
    "changed",
    [
        *(
            lambda it, source=source: with_pod(it, {"volumes": [{"name": "x", **source}]})
            for source in BY_VOLUME.values()
        ),
        *(lambda it, changes=changes: with_pod(it, changes) for changes in OF_POD.values()),
        *(lambda it, changes=changes: with_container(it, changes) for changes in OF_CONTAINER.values()),
        *(lambda it, component=component: of_component(it, component) for component in COMPONENTS),
    ],
    ids=[*BY_VOLUME, *OF_POD, *OF_CONTAINER, *COMPONENTS],
)
def test_the_token_gives_no_pod_what_is_not_its_own(
    site: Site, plan: Plan, changed: Callable[[Object], Object]
) -> None:
    for good in (trivial(), jobset(plan, plan.job("d"), [names.plan(plan.run_id)])):
        assert "created (server dry run)" in as_advance(site, good)
        said = as_advance(site, changed(good))
        assert "ValidatingAdmissionPolicy 'locat-advance'" in said, said


def test_the_token_changes_nothing_that_is_there(site: Site) -> None:
    site.kubectl("create", "-f", "-", input=json.dumps(trivial()))
    said = as_advance(site, {**trivial(), "spec": {**trivial()["spec"], "suspend": True}}, "apply", "--server-side")
    assert "may label a JobSet that is there, and not change it" in said
    site.kubectl("delete", "jobset", "trivial")


def test_the_namespace_says_what_else_may_be_given(site: Site, plan: Plan) -> None:
    """`submit` refuses, before anything runs, what `advance` would be refused; then the namespace allows it."""
    of = {"kubernetes": {"secret": "team", "service_account": "team", "pull_secrets": ["registry"]}}
    later = replace(plan, jobs=tuple(replace(job, options=of) if job.name == "d" else job for job in plan.jobs))
    manifest = jobset(later, later.job("d"), [names.plan(plan.run_id)])
    backend = BACKENDS["kubernetes"]
    assert "ValidatingAdmissionPolicy 'locat-advance'" in as_advance(site, manifest)
    with pytest.raises(UserError, match=r"job d: .* may not be given .* \(`kubectl edit namespace`\)"):
        backend.check(later)
    annotated = ("annotate", "namespace", site.namespace, "--overwrite")
    site.kubectl(
        *annotated,
        f"{allowance.ACCOUNTS}=locat-job team",
        f"{allowance.SECRETS}=mlflow-client locat-secrets team registry",
    )
    backend.check(later)
    site.until(lambda: "created" in as_advance(site, manifest), "leave to use them")
    site.kubectl(*annotated, f"{allowance.SECRETS}-")
    site.until(lambda: "ValidatingAdmissionPolicy 'locat-advance'" in as_advance(site, manifest), "a refusal of all")
