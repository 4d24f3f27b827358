"""File locks that tell who is alive: the kernel drops them when the last holder of the descriptor dies."""

import fcntl
import os
import time
from pathlib import Path

PATIENCE = 1.0
"""Seconds an acquirer tries: `is_held` holds a shared lock for microseconds, which must not look like an owner."""


def acquire(path: Path, patience: float = PATIENCE) -> int | None:
    """Take the lock at `path`: a descriptor that holds it until closed everywhere, or None if another has it.

    The descriptor holds the lock also in every process it is passed on to (`pass_fds`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + patience
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            os.close(descriptor)
            return None
        time.sleep(0.01)
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock at `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
