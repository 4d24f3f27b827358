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
    """Container that the job's command runs in. The attempt runner itself stays outside."""

    engine: Literal["apptainer", "pyxis"]
    """`apptainer exec`, or `srun --container-image` of the Pyxis plugin."""
    image: Word | None = None
    """Image in the engine's notation: a .sif file, `docker://...`, `/path/image.sqsh`; by default the job's `image`."""
    mounts: list[MountPath] = []
    """Folders to mount in addition to the runs folder and `storage`."""


class SlurmOptions(BackendOptions):
    """Options for sbatch in addition to `resources`."""

    partition: Word | None = None
    """Partition; by default the cluster's."""
    account: Word | None = None
    """Account to charge."""
    qos: Word | None = None
    """Quality of service."""
    constraint: Word | None = None
    """Features that nodes must have, such as `a100&ib`."""
    container: Container | None = None
    """Run the command in a container."""
    sbatch: dict[SbatchOption, Word | Literal[True]] = {}
    """Other long options of sbatch, without `--`; use `true` for options without a value."""

    def check_job(self, image: str) -> Iterator[tuple[KeyPath, str]]:
        if self.container and not (self.container.image or image):
            yield ("container",), "a container without an image; set `image` beside `options`"
