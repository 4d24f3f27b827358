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
    """A taint that the pods tolerate."""

    key: LabelKey | None = None
    """Key of the taint; without it, and with `operator: Exists`, every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """`Equal` compares the taint's value, `Exists` ignores it."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; by default every effect."""


class Scheduler(Schema):
    """A scheduler that places all pods of a job or none."""

    name: Literal["volcano", "kai", "slurm-bridge"]
    """Name of the scheduler; the cluster's administrator must have installed it."""
    queue: ObjectName | None = None
    """Queue of the scheduler, or Slurm's partition for slurm-bridge; by default the scheduler's own default."""


class KubernetesOptions(BackendOptions):
    """Options for the job's JobSet in addition to `resources`, `image` and `storage`."""

    queue: ObjectName | None = None
    """Kueue's LocalQueue."""
    scheduler: Scheduler | None = None
    """Scheduler of the pods, such as `{name: volcano, queue: research}`; by default the cluster's default scheduler."""
    priority_class: ObjectName | None = None
    """PriorityClass of the pods."""
    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels that nodes must have."""
    tolerations: list[Toleration] = []
    """Taints that the pods tolerate."""
    topology: LabelKey | None = None
    """Node label, such as `topology.kubernetes.io/zone`, whose value the job's nodes should share."""
    shared_memory: Size | None = None
    """Size limit of /dev/shm, such as `16G`; it counts towards the job's memory. By default half of the node's
    memory."""
    secret: ObjectName = "locat-secrets"
    """Secret whose keys are the variables named under the pipeline's `secrets`."""
    service_account: ObjectName = "locat-job"
    """Service account of the pods; no API token is mounted."""
    pull_secrets: list[ObjectName] = []
    """Secrets for pulling the image."""
    advance_image: Image | None = None
    """Image of the `advance` pod, which creates the next JobSets and is the only pod with a token; by default the job's
    image."""
    ttl: Duration | None = None
    """How long the JobSet stays after the job has ended, such as `7d`; forever by default. A JobSet always stays if
    some job needs this job together with others."""
