"""A plan as Kubernetes objects: its ConfigMaps, NetworkPolicies, and a JobSet for each job. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.config_maps import config_maps
from launcher.backends.kubernetes.network import policies
from launcher.backends.kubernetes.pod_template import advance_pod, main_pod, options_of
from launcher.backends.kubernetes.readable_yaml import to_yaml
from launcher.backends.kubernetes.scheduler import marks
from launcher.language.words import minutes
from launcher.plan import Plan, PlannedJob
from locat.contract.job_folder import ExitCode

ADVANCE_TRIES = 6
"""Pods that may fail to apply what needs a job; they wait ever longer between them."""

Object = dict[str, Any]


def objects(plan: Plan) -> list[Object]:
    """What `submit` applies: the plan, who may reach whom, the jobs that need no other. `advance` applies the rest."""
    maps = config_maps(plan)
    parts = [each["metadata"]["name"] for each in maps]
    return [*maps, *policies(plan), *(jobset(plan, job, parts) for job in plan.jobs if not job.needs)]


def manifest_files(plan: Plan) -> dict[str, str]:
    """The same as files: one for the plan, one or two a job, and what `kubectl apply -k` reads.

    That one is called `Kustomization`, which `kubectl apply -f` of the folder passes over.
    """
    maps, others = [], {}
    for each in objects(plan):
        if each["kind"] == "ConfigMap":
            maps.append(each)
        else:
            suffix = "-network" if each["kind"] == "NetworkPolicy" else ""
            others[f"{each['metadata']['name']}{suffix}.yaml"] = to_yaml([each])
    files = {"plan.yaml": to_yaml(maps), **others}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }
    return {"Kustomization": to_yaml([kustomization]), **files}


def downstream(plan: Plan, name: str) -> list[PlannedJob]:
    """The jobs that need this one."""
    return [job for job in plan.jobs if name in job.needs]


def jobset(plan: Plan, job: PlannedJob, plan_parts: Sequence[str]) -> Object:
    """The JobSet of one job: the job's own pods, and then, where other jobs need it, the pod that applies those.

    `plan_parts` are the names of the plan's ConfigMaps.
    """
    options = options_of(job)
    marked = marks(plan, job, options.scheduler)
    labels = {**names.PART_OF, names.RUN_LABEL: plan.run_id, **marked.labels}
    if options.queue:
        labels[names.QUEUE_LABEL] = options.queue
    waiting = downstream(plan, job.name)
    main = _replicated_job(names.MAIN, job.resources.nodes, 0, main_pod(plan, job, plan_parts, marked))
    if marked.job:
        main["template"]["metadata"] = {"annotations": marked.job}
    main["template"]["spec"]["podFailurePolicy"] = _FAILS_AT_ONCE
    replicated = [main]
    if waiting:
        advance = _replicated_job(names.ADVANCE, 1, ADVANCE_TRIES, advance_pod(plan, job, plan_parts))
        replicated.append({**advance, "dependsOn": [{"name": names.MAIN, "status": "Complete"}]})
    spec: Object = {
        "failurePolicy": {
            "maxRestarts": job.retries,
            "restartStrategy": "BlockingRecreate",  # an attempt's pods are gone before the next one's come
            "rules": _RESTARTS,
        },
        "replicatedJobs": replicated,
    }
    if options.ttl and all(each.needs == (job.name,) for each in waiting):
        spec["ttlSecondsAfterFinished"] = minutes(options.ttl) * 60
    return {
        "apiVersion": names.JOBSET_API,
        "kind": "JobSet",
        "metadata": {
            "name": names.jobset(plan.run_id, job.name),
            "labels": labels,
            "annotations": {names.JOB_ANNOTATION: job.name, **marked.jobset},
        },
        "spec": spec,
    }


def _replicated_job(name: str, pods: int, tries: int, template: Object) -> Object:
    return {
        "name": name,
        "replicas": 1,
        "template": {
            "spec": {
                "completionMode": "Indexed",
                "completions": pods,
                "parallelism": pods,
                "backoffLimit": tries,
                "podReplacementPolicy": "Failed",
                "template": template,
            }
        },
    }


def _exit_code(code: ExitCode) -> Object:
    return {
        "action": "FailJob",
        "onExitCodes": {"containerName": names.MAIN, "operator": "In", "values": [int(code)]},
    }


_DISRUPTED: Object = {
    "action": "FailJob",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}
_FAILS_AT_ONCE: Object = {"rules": [_exit_code(ExitCode.INVALID), _exit_code(ExitCode.PREEMPTED), _DISRUPTED]}
"""Why a Job fails stands in its condition's message, which `_RESTARTS` tells apart."""


def _rule(name: str, action: str, patterns: Iterable[str]) -> Object:
    return {
        "name": name,
        "action": action,
        "targetReplicatedJobs": [names.MAIN],
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": list(patterns),
    }


_RESTARTS = [
    _rule("invalid", "FailJobSet", [rf".*exit code {int(ExitCode.INVALID)} .*"]),
    _rule(
        "preempted",
        "RestartJobSetAndIgnoreMaxRestarts",
        [rf".*exit code {int(ExitCode.PREEMPTED)} .*", ".*condition DisruptionTarget .*"],
    ),
]
"""Exit code 2 is never retried; preemption is not counted; anything else is, as `RestartJobSet` does by default."""
