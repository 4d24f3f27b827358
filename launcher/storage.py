"""Images and storage of jobs: what the language takes, and how each kind of container is told."""

from typing import Annotated, Any, Literal

from pydantic import Field

from launcher.options import MountPath, ObjectName, Schema, named
from launcher.plan import PlannedJob, Volume

Image = Annotated[
    str,
    named(
        "an image such as registry.example/lab/locat:1.0 or /images/locat.sif", r"/?[A-Za-z0-9][A-Za-z0-9_.:/@+-]*", 500
    ),
]


class Storage(Schema):
    """Where a folder that jobs see comes from, for each backend the pipeline is to run on."""

    path: MountPath | None = None
    """Folder of this machine, or of every node of a Slurm cluster; by default the path that jobs see it at. Another one
    needs a container."""
    claim: ObjectName | None = None
    """Name of a PersistentVolumeClaim, for Kubernetes."""
    volume: dict[str, Any] = Field(default={})
    """Or any other source of a volume, as a pod's spec has it: `{nfs: {server: files.example, path: /datasets}}`."""
    read_only: bool = False
    """Whether containers may only read it. Without a container the file system's own permissions hold."""


def volumes(storage: dict[str, Storage]) -> tuple[Volume, ...]:
    """The plan's form of `storage`, by mount path."""
    return tuple(
        Volume(mount, given.path or mount, given.claim or "", given.read_only, given.volume)
        for mount, given in sorted(storage.items())
    )


def moved(job: PlannedJob) -> str:
    """What of a job's storage cannot be had without a container; empty if all can."""
    elsewhere = [volume for volume in job.storage if volume.path != volume.mount]
    return "; ".join(f"storage {volume.mount} is the folder {volume.path}" for volume in elsewhere)


def engine_image(engine: Literal["apptainer", "pyxis"], image: str) -> str:
    """What an engine calls a job's `image`; files keep their names."""
    if image.startswith("/"):
        return image
    if engine == "apptainer":
        return f"docker://{image}"
    registry, slash, name = image.partition("/")
    is_registry = slash and (registry == "localhost" or "." in registry or ":" in registry)
    return f"{registry}#{name}" if is_registry else image
