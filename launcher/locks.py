"""File locks that tell who is alive: the kernel drops them when the last holder of the descriptor dies."""

import contextlib
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
    descriptor = filesystem.open_lock(path)
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
    """Whether a living process holds the lock at `path`. Of another user's, those of this machine are known.

    Raises:
        NoLocksError: its file system has none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:
        return bool(holders(path))
    try:
        return not filesystem.lock(descriptor, fcntl.LOCK_SH, path)
    finally:
        os.close(descriptor)


def holders(path: Path) -> list[int]:
    """Processes of this machine that have taken the lock at `path`: one may have ended since and left it to a child."""
    with contextlib.suppress(OSError):
        inode = path.stat().st_ino
        found = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        # By the number of the file alone: that of its device is another one in there on some file systems.
        return [int(words[4]) for words in found if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode)]
    return []


def check(folder: Path) -> None:
    """See that locks can be taken in a folder, or where it will be made.

    Raises:
        NoLocksError: they cannot.
        OSError: nothing can be written there.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.NamedTemporaryFile(dir=existing, prefix=".lock-") as file:
        filesystem.lock(file.fileno(), fcntl.LOCK_EX, existing)
