"""What not every file system can do: locks and links. exFAT, SMB and mounted object stores lack one or both."""

import errno
import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

from locat.contract.errors import UserError

_UNABLE = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EMLINK, errno.EXDEV}
)
"""What calls answer that a file system does not have."""


class NoLocksError(UserError):
    """A file system has no locks, by which attempts of a job keep apart."""


def open_lock(path: Path) -> int:
    """Open the file of a lock, made if it is not there: nobody else may open it.

    Who can open a file can lock it, for reading too, and so stop whoever waits for the lock.

    Raises:
        OSError: its folder is not there, or the file is another user's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # an earlier version let others read it
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    return descriptor


def lock(descriptor: int, kind: int, path: Path) -> bool:
    """Take a lock of `fcntl` on an open file, at once or not at all; whether it is taken.

    Raises:
        NoLocksError: the file system of `path` has none.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        raise NoLocksError(
            f"{path}: its file system has no locks (flock: {error.strerror}), so nothing keeps two attempts of a job"
            " apart; put the folder of runs on another one (--runs-dir or LAUNCHER_RUNS)"
        ) from error
    return True


def write_once(path: Path, data: bytes) -> bool:
    """Write `data` to `path` unless it is there; whether it was not. A reader sees all of it, where there are links."""
    # Not by the process's number: pods of one job share the folder, and often the number.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(data)
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        return _created(path, data)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return True


def _created(path: Path, data: bytes) -> bool:
    """The same where a file has one name only: whoever makes it writes it, and is read when its writer has ended."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return True
