"""What containers are told of images and storage, and what cannot be had without one."""

from typing import Literal

from launcher.plan import PlannedJob


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
