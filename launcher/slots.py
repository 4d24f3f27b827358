"""GPUs as slots: a file lock each, so that all runs of this machine share them without asking anyone."""

import os
from dataclasses import dataclass
from pathlib import Path

from launcher import locks, machine


@dataclass(frozen=True)
class Slot:
    """A GPU that is ours while the descriptor is open anywhere."""

    device: str
    descriptor: int


def folder() -> Path:
    """Where the locks are."""
    return Path(os.environ.get("LOCAT_SLOTS_DIR") or Path.home() / ".cache" / "locat" / "slots")


def free() -> int:
    """How many GPUs nobody holds now."""
    return sum(not locks.is_held(_lock(device)) for device in machine.gpus())


def take(count: int) -> list[Slot] | None:
    """Take `count` free GPUs, or none at all: who holds some while it waits for more can wait for ever."""
    taken: list[Slot] = []
    for device in machine.gpus():
        if len(taken) == count:
            break
        descriptor = locks.acquire(_lock(device), patience=0.05)
        if descriptor is not None:
            taken.append(Slot(device, descriptor))
    if len(taken) == count:
        return taken
    for slot in taken:
        os.close(slot.descriptor)
    return None


def _lock(device: str) -> Path:
    return folder() / f"gpu-{device.replace('/', '_')}.lock"
