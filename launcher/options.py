"""Options that only one backend understands: the way out where the language has no word, validated all the same."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from launcher.errors import known_words, shown

SBATCH_OPTIONS = (
    *("begin", "comment", "contiguous", "core-spec", "cores-per-socket", "cpu-freq", "deadline", "exclude"),
    *("exclusive", "gpu-bind", "gpu-freq", "hint", "licenses", "mail-type", "mail-user", "mem-bind", "mincpus"),
    *("network", "nice", "nodelist", "power", "prefer", "priority", "propagate", "reservation", "sockets-per-node"),
    *("spread-job", "switches", "threads-per-core", "time-min", "tmp", "use-min-nodes", "wckey"),
)
"""Options of sbatch that change nothing of what the launcher relies on."""


def named(what: str, pattern: str, most: int) -> AfterValidator:
    """Text that matches `pattern` whole; `what` is what messages call it."""

    def check(value: str) -> str:
        if len(value) > most or not re.fullmatch(pattern, value):
            raise ValueError(f"expected {what}, at most {most} characters, got {shown(value)}")
        return value

    return AfterValidator(check)


def _text(value: object) -> object:
    return str(value) if type(value) is int else value


def _sbatch_option(value: str) -> str:
    if value not in SBATCH_OPTIONS:
        raise ValueError(f"not an option that can be given here: {value!r}{known_words(value, SBATCH_OPTIONS)}")
    return value


Word = Annotated[
    str, BeforeValidator(_text), named("one word without quotes", r"[A-Za-z0-9_.,:;&|*\[\]()/=@+%-]+", 200)
]
"""What stands in an #SBATCH line as it is."""
MountPath = Annotated[str, named("an absolute path of plain characters", r"/[A-Za-z0-9_.@+%=/-]*", 1000)]
SbatchOption = Annotated[str, AfterValidator(_sbatch_option)]
ObjectName = Annotated[
    str, named("a Kubernetes name of lower-case letters, digits, '-' and '.'", "[a-z0-9]([a-z0-9.-]*[a-z0-9])?", 253)
]
LabelKey = Annotated[
    str, named("a label's key such as topology.kubernetes.io/zone", "[A-Za-z0-9]([A-Za-z0-9./_-]*[A-Za-z0-9])?", 316)
]
LabelValue = Annotated[
    str, BeforeValidator(_text), named("a label's value", "([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", 63)
]
Size = Annotated[str, named("a size such as 500M, 64G or 1T", "[1-9][0-9]*[MGT]", 12)]
MEBIBYTES = {"M": 1, "G": 1 << 10, "T": 1 << 20}
Duration = Annotated[str, named("a duration such as 90m, 12h or 2d", "[1-9][0-9]*[mhd]", 8)]
MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


class Schema(BaseModel):
    """Base of the language: unknown keys are errors, types are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Container(Schema):
    """The image a job's command runs in. The attempt runner itself stays outside."""

    engine: Literal["apptainer", "pyxis"]
    """`apptainer exec`, or `srun --container-image` of the Pyxis plugin."""
    image: Word | None = None
    """As the engine names it: a .sif file, `docker://...`, `/path/image.sqsh`; by default the job's `image`."""
    mounts: list[MountPath] = []
    """Folders it sees besides the runs folder and `storage`."""


class SlurmOptions(Schema):
    """What sbatch is told besides `resources`."""

    partition: Word | None = None
    """Where to queue; the cluster's default if left out."""
    account: Word | None = None
    """Who pays."""
    qos: Word | None = None
    """Quality of service."""
    constraint: Word | None = None
    """Features that nodes must have, such as `a100&ib`."""
    container: Container | None = None
    """Run the command in a container."""
    sbatch: dict[SbatchOption, Word | Literal[True]] = {}
    """Other long options of sbatch, without their `--`; `true` for those that take no value."""


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


class KubernetesOptions(Schema):
    """What a job's JobSet says besides `resources`, `image` and `storage`."""

    queue: ObjectName | None = None
    """Kueue's LocalQueue."""
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
    ttl: Duration | None = None
    """How long its JobSet stays once it has ended, such as `7d`; for ever by default. One that another job waits for
    beside others stays all the same."""


class Options(Schema):
    """Per backend; the other backends ignore them."""

    slurm: SlurmOptions = SlurmOptions()
    """For `--backend slurm`."""
    kubernetes: KubernetesOptions = KubernetesOptions()
    """For `--backend kubernetes`."""

    def over(self, defaults: "Options") -> "Options":
        """These options; what is left out is taken from `defaults`."""
        merged = {
            backend: {
                **getattr(defaults, backend).model_dump(exclude_unset=True),
                **getattr(self, backend).model_dump(exclude_unset=True),
            }
            for backend in type(self).model_fields
        }
        return Options.model_validate(merged)
