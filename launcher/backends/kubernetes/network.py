"""Who may reach the pods of a job of several nodes: they themselves, and no other pod of the namespace.

They have no way to ask who connects (docs/security.md). k8s/base lets no pod that trains reach another; these add to
it, which is all that NetworkPolicies can do. `submit` applies those of all jobs, so that `advance` needs no right to.
"""

from typing import Any

from launcher.backends.kubernetes import names
from launcher.plan import Plan, PlannedJob


def policies(plan: Plan) -> list[dict[str, Any]]:
    """A NetworkPolicy for each job of several nodes, also of those that begin later."""
    return [_policy(plan, job) for job in plan.jobs if job.resources.nodes > 1]


def _policy(plan: Plan, job: PlannedJob) -> dict[str, Any]:
    name = names.jobset(plan.run_id, job.name)
    pods = {"podSelector": {"matchLabels": {names.JOBSET_NAME_LABEL: name, names.COMPONENT_LABEL: names.TRAIN}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "labels": {**names.PART_OF, names.RUN_LABEL: plan.run_id},
            "annotations": {names.JOB_ANNOTATION: job.name},
        },
        "spec": {
            **pods,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [pods]}],
            "egress": [{"to": [pods]}],
        },
    }
