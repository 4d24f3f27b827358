"""File locks that tell who is alive: the kernel drops them when the last holder of the descriptor dies."""

import fcntl
import os
import tempfile
import time
from pathlib import Path

from locat.contract import filesystem

PATIENCE = 1.0
"""Seconds an acquirer tries: `is_held` holds a shared lock for microseconds, which must not look like an owner."""


def acquire(path: Path, patience: float = PATIENCE) -> int | None:
    """Take the lock at `path`: a descriptor that holds it until closed everywhere, or None if another has it.

    The descriptor holds the lock also in every process it is passed on to (`pass_fds`).

    Raises:
        NoLocksError: its file system has none.
        OSError: its folder is not there, such as that of a run that was deleted, or not this user's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + patience
    try:
        while not filesystem.lock(descriptor, fcntl.LOCK_EX, path):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.01)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock at `path`.

    Raises:
        NoLocksError: its file system has none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not filesystem.lock(descriptor, fcntl.LOCK_SH, path)
    finally:
        os.close(descriptor)


def check(folder: Path) -> None:
    """See that locks can be taken in a folder, or where it will be made.

    Raises:
        NoLocksError: they cannot.
        OSError: nothing can be written there.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.NamedTemporaryFile(dir=existing, prefix=".lock-") as file:
        filesystem.lock(file.fileno(), fcntl.LOCK_EX, existing)
