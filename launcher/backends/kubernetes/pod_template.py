"""Pods of a run: what they may do, what they see, and what they are given."""

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.options import KubernetesOptions
from launcher.backends.kubernetes.scheduler import Marks
from launcher.language.words import mebibytes
from launcher.plan import Plan, PlannedJob, Volume

RUNS = str(names.POD_RUNS)
RUNS_CLAIM = "locat-runs"
"""The claim that holds it, unless the job's `storage` says otherwise."""
PLAN_MOUNT = "/etc/locat/plan"
TRACKING_SECRET = "mlflow-client"
"""Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, where the server asks for them."""
JOB_ACCOUNT = KubernetesOptions().service_account
ADVANCE_ACCOUNT = "locat-advance"
USER = 1000
STOP_GRACE = 75
"""Seconds a pod has between SIGTERM and SIGKILL: the attempt runner's own grace, and time to record the end."""
FIRST_POD = "LOCAT_FIRST_POD"
"""Variable: the host name of a job's first pod, where there are others."""
GPU = "nvidia.com/gpu"
GPU_TYPE_LABEL = "nvidia.com/gpu.product"

Object = dict[str, Any]


def options_of(job: PlannedJob) -> KubernetesOptions:
    """What the pipeline says to Kubernetes about a job."""
    return KubernetesOptions.model_validate(job.options.get("kubernetes", {}))


def main_pod(plan: Plan, job: PlannedJob, plan_parts: Sequence[str], marks: Marks) -> Object:
    """Template of the pods that run a job, one a node; `plan_parts` are the ConfigMaps of the plan, `marks` are for
    their scheduler."""
    options = options_of(job)
    volumes = {RUNS: Volume(RUNS, RUNS, RUNS_CLAIM), **{volume.mount: volume for volume in job.storage}}
    selector = {**({GPU_TYPE_LABEL: job.resources.gpu_type} if job.resources.gpu_type else {}), **options.node_selector}
    container = {
        **_container(names.MAIN, job, ["launcher.backends.kubernetes.pod", str(plan.folder), job.name]),
        "env": [*_environment(plan, job, options), *_HOME],
        "envFrom": [{"secretRef": {"name": TRACKING_SECRET, "optional": True}}],
        "resources": _resources(job),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    container["volumeMounts"] += [
        {"name": "shared-memory", "mountPath": "/dev/shm"},
        *(
            {"name": f"storage-{number}", "mountPath": mount, **({"readOnly": True} if volume.read_only else {})}
            for number, (mount, volume) in enumerate(volumes.items())
        ),
    ]
    size = options.shared_memory
    limit = {"sizeLimit": _bytes(mebibytes(size))} if size else {}
    spec = {
        **_pod(options.service_account, container, plan_parts),
        "terminationGracePeriodSeconds": STOP_GRACE,
        **_place(options, selector),
        **_present(affinity=_near(plan, job, options.topology) if options.topology else None, schedulerName=marks.name),
    }
    spec["volumes"] += [
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", **limit}},
        *({"name": f"storage-{number}", **_source(volume)} for number, volume in enumerate(volumes.values())),
    ]
    metadata = _metadata(plan, job, names.TRAIN)
    metadata["labels"] |= marks.labels
    metadata["annotations"] |= marks.pod
    return {"metadata": metadata, "spec": spec}


def advance_pod(plan: Plan, job: PlannedJob, plan_parts: Sequence[str]) -> Object:
    """Template of the pod that applies what needs a job, once that is done: the only one with a token."""
    options = options_of(job)
    container = {
        **_container(names.ADVANCE, job, ["launcher.backends.kubernetes.advance", job.name]),
        "image": options.advance_image or job.image,
        "env": list(_HOME),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }
    spec = {
        **_pod(ADVANCE_ACCOUNT, container, plan_parts),
        "automountServiceAccountToken": True,
        **_place(options, options.node_selector),
    }
    return {"metadata": _metadata(plan, job, "advance"), "spec": spec}


_HOME = ({"name": "HOME", "value": "/tmp"},)
"""What libraries cache goes to the pod's own /tmp: the image's file system is read-only."""


def _metadata(plan: Plan, job: PlannedJob, component: str) -> Object:
    labels = {**names.PART_OF, names.COMPONENT_LABEL: component, names.RUN_LABEL: plan.run_id}
    return {"labels": labels, "annotations": {names.JOB_ANNOTATION: job.name}}


def _pod(account: str, container: Object, plan_parts: Sequence[str]) -> Object:
    """What every pod is: of the `restricted` pod security standard, and run once."""
    return {
        "restartPolicy": "Never",
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "plan", "projected": {"sources": [{"configMap": {"name": name}} for name in plan_parts]}},
        ],
    }


def _place(options: KubernetesOptions, selector: Mapping[str, str]) -> Object:
    """Where a job's pods may run."""
    return _present(
        nodeSelector=dict(selector),
        tolerations=[each.model_dump(exclude_none=True) for each in options.tolerations],
        priorityClassName=options.priority_class,
        imagePullSecrets=[{"name": name} for name in options.pull_secrets],
    )


def _container(name: str, job: PlannedJob, arguments: list[str]) -> Object:
    return {
        "name": name,
        "image": job.image,
        "command": ["python", "-P", "-m", *arguments],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "plan", "mountPath": PLAN_MOUNT, "readOnly": True},
        ],
    }


def _environment(plan: Plan, job: PlannedJob, options: KubernetesOptions) -> list[Object]:
    environment: list[Object] = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": options.secret, "key": variable}}}
        for variable in plan.secrets
    ]
    # Which start of which JobSet this is: all pods of an attempt say the same.
    fields = {
        "LOCAT_JOBSET_UID": "metadata.labels['jobset.sigs.k8s.io/jobset-uid']",
        "LOCAT_RESTART": f"metadata.labels['{names.RESTART_LABEL}']",
        "LOCAT_POD_INDEX": f"metadata.annotations['{names.INDEX_ANNOTATION}']",
    }
    environment += [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}} for name, field in fields.items()]
    if job.resources.nodes > 1:
        environment.append({"name": FIRST_POD, "value": names.first_pod(plan.run_id, job.name)})
    return environment


def _resources(job: PlannedJob) -> Object:
    """GPUs and memory are what the job may take at most; cores are what it gets at least.

    Written as the API writes them: else to apply the same again would be a change.
    """
    asked = job.resources
    limits: Object = {GPU: str(asked.gpus)} if asked.gpus else {}
    if asked.memory:
        limits["memory"] = _bytes(asked.memory)
    return {"requests": {"cpu": str(asked.cpus), **limits}, **_present(limits=limits)}


def _bytes(mebibytes: int) -> str:
    """A quantity in the largest unit that leaves no fraction."""
    unit = "Mi"
    for larger in ("Gi", "Ti"):
        if mebibytes % 1024 == 0:
            mebibytes, unit = mebibytes // 1024, larger
    return f"{mebibytes}{unit}"


def _near(plan: Plan, job: PlannedJob, topology: str) -> Object:
    """A wish for nodes of one value of a label."""
    mine = {"matchLabels": {names.JOBSET_NAME_LABEL: names.jobset(plan.run_id, job.name)}}
    term = {"weight": 100, "podAffinityTerm": {"labelSelector": mine, "topologyKey": topology}}
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}


def _source(volume: Volume) -> Object:
    if volume.source:
        return volume.source
    return {"persistentVolumeClaim": {"claimName": volume.claim, **({"readOnly": True} if volume.read_only else {})}}


def _present(**values: Any) -> Object:
    """Without what is empty."""
    return {key: value for key, value in values.items() if value}
