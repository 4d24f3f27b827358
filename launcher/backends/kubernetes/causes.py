"""What is wrong with a pod, in the words that Kubernetes' users know, and what to do about it. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from launcher.backends.kubernetes.api_objects import ContainerState, Pod, Terminated

SILENT_AFTER = timedelta(seconds=30)
"""A pod that is still there so long after its last moment is on a node that does not answer."""
WAITING = {
    "ImagePullBackOff": "correct `image`, or name the registry's secret in options.kubernetes.pull_secrets",
    "ErrImagePull": "correct `image`, or name the registry's secret in options.kubernetes.pull_secrets",
    "ErrImageNeverPull": "bring the image to the node, or change its pull policy",
    "InvalidImageName": "correct `image`",
    "CreateContainerConfigError": "make the Secret or ConfigMap it names (options.kubernetes.secret)",
    "CreateContainerError": "see `kubectl describe pod`",
    "RunContainerError": "see `kubectl describe pod`",
}
"""Why a container has not started -> the remedy."""
OUT_OF_MEMORY = "took more than its memory; give more in resources.memory, or a smaller batch_size"
UNSCHEDULABLE = "ask for less, or for what nodes have (`kubectl describe nodes`)"


def trouble(pod: Pod, now: datetime) -> str:
    """Why a pod does not run, or will not; empty if nothing is the matter."""
    return next(_troubles(pod, now), "")


def _troubles(pod: Pod, now: datetime) -> Iterator[str]:
    status = pod.status
    if _is_silent(pod, now):
        node = pod.spec.node_name
        yield (
            f"node {node} does not answer, and Kubernetes waits for it; if that machine is off,"
            f" `kubectl taint nodes {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute` (or delete the"
            " node): the job goes on elsewhere from its newest checkpoint"
        )
    if status.reason == "Evicted":
        yield f"Evicted: {status.message}"
    for container in status.container_statuses:
        yield from _of_container(container.state)
    for condition in status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable":
            yield f"Unschedulable: {condition.message}; {UNSCHEDULABLE}"
        if condition.type == "DisruptionTarget" and condition.holds:
            yield f"{condition.reason}: {condition.message}"


def _of_container(state: ContainerState) -> Iterator[str]:
    if state.waiting and state.waiting.reason in WAITING:
        yield f"{state.waiting.reason}: {state.waiting.message}; {WAITING[state.waiting.reason]}"
    if state.terminated and state.terminated.exit_code:
        yield _end(state.terminated)


def _end(terminated: Terminated) -> str:
    if terminated.reason == "OOMKilled":
        return f"OOMKilled: {OUT_OF_MEMORY}"
    lines = terminated.message.strip().splitlines()
    return lines[-1] if lines else f"exit code {terminated.exit_code}"


def _is_silent(pod: Pod, now: datetime) -> bool:
    """Whether a pod was told to go, and nobody on its node does anything about it.

    Such a pod may be Pending for ever too: its node has started it, and could not say so any more.
    """
    last_moment = pod.metadata.deletion_timestamp
    if last_moment is None or not pod.spec.node_name or pod.status.phase not in ("Pending", "Running"):
        return False
    evicted = any(each.reason == "DeletionByTaintManager" for each in pod.status.conditions)
    return evicted or now > last_moment + SILENT_AFTER
