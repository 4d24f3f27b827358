"""What a pipeline may say to Slurm alone: the way out where the language has no word, validated all the same."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator

from launcher.language.words import BackendOptions, MountPath, Schema, Word
from locat.contract.problems import KeyPath, known_words

SBATCH_OPTIONS = (
    *("begin", "comment", "contiguous", "core-spec", "cores-per-socket", "cpu-freq", "deadline", "exclude"),
    *("exclusive", "gpu-bind", "gpu-freq", "hint", "licenses", "mail-type", "mail-user", "mem-bind", "mincpus"),
    *("network", "nice", "nodelist", "power", "prefer", "priority", "propagate", "reservation", "sockets-per-node"),
    *("spread-job", "switches", "threads-per-core", "time-min", "tmp", "use-min-nodes", "wckey"),
)
"""Options of sbatch that change nothing of what the launcher relies on."""


def _sbatch_option(value: str) -> str:
    if value not in SBATCH_OPTIONS:
        raise ValueError(f"not an option that can be given here: {value!r}{known_words(value, SBATCH_OPTIONS)}")
    return value


SbatchOption = Annotated[str, AfterValidator(_sbatch_option)]


class Container(Schema):
    """The image a job's command runs in. The attempt runner itself stays outside."""

    engine: Literal["apptainer", "pyxis"]
    """`apptainer exec`, or `srun --container-image` of the Pyxis plugin."""
    image: Word | None = None
    """As the engine names it: a .sif file, `docker://...`, `/path/image.sqsh`; by default the job's `image`."""
    mounts: list[MountPath] = []
    """Folders it sees besides the runs folder and `storage`."""


class SlurmOptions(BackendOptions):
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

    def check_job(self, image: str) -> Iterator[tuple[KeyPath, str]]:
        if self.container and not (self.container.image or image):
            yield ("container",), "a container without an image; set `image` beside `options`"
