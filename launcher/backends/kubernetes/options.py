"""What a pipeline may say to Kubernetes alone, validated all the same."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from launcher.language.words import BackendOptions, Duration, Image, ObjectName, Schema, Size, as_text, named

LabelKey = Annotated[
    str, named("a label's key such as topology.kubernetes.io/zone", "[A-Za-z0-9]([A-Za-z0-9./_-]*[A-Za-z0-9])?", 316)
]
LabelValue = Annotated[
    str, BeforeValidator(as_text), named("a label's value", "([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", 63)
]


class Toleration(Schema):
    """A taint that a job's pods may be placed in spite of."""

    key: LabelKey | None = None
    """The taint's key; every one if left out, with `operator: Exists`."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the taint's value matters."""
    value: LabelValue | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; every one if left out."""


class Scheduler(Schema):
    """Who places a job's pods, all of them or none."""

    name: Literal["volcano", "kai", "slurm-bridge"]
    """Which one; the cluster's administrator has installed it."""
    queue: ObjectName | None = None
    """Its queue, or for slurm-bridge Slurm's partition; its own default if left out."""


class KubernetesOptions(BackendOptions):
    """What a job's JobSet says besides `resources`, `image` and `storage`."""

    queue: ObjectName | None = None
    """Kueue's LocalQueue."""
    scheduler: Scheduler | None = None
    """Who places its pods, such as `{name: volcano, queue: research}`; the cluster's default scheduler if left out."""
    priority_class: ObjectName | None = None
    """PriorityClass of its pods."""
    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels that nodes must have."""
    tolerations: list[Toleration] = []
    """Taints of nodes that do not keep it away."""
    topology: LabelKey | None = None
    """Node label, such as `topology.kubernetes.io/zone`, whose value the job's nodes should share."""
    shared_memory: Size | None = None
    """The most that /dev/shm may take, such as `16G`; of the job's memory. Half of the node's memory by default."""
    secret: ObjectName = "locat-secrets"
    """Secret whose keys are the variables named under the pipeline's `secrets`."""
    service_account: ObjectName = "locat-job"
    """Who its pods are; they get no token."""
    pull_secrets: list[ObjectName] = []
    """Secrets to pull its image with."""
    advance_image: Image | None = None
    """Image of the pod that applies what comes next, the only one with a token; by default the job's own."""
    ttl: Duration | None = None
    """How long its JobSet stays once it has ended, such as `7d`; for ever by default. One that another job waits for
    beside others stays all the same."""
