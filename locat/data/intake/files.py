"""Reading a file of a dataset: a pipe or a device, which would keep a reader waiting, is an error at once."""

import os
import stat
from pathlib import Path

from locat.contract.errors import DataError
from locat.contract.names import one_line_path
from locat.data.intake.stalls import asking

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def kind(status: os.stat_result) -> str | None:
    """What a file is, in words; None for a regular one."""
    return None if stat.S_ISREG(status.st_mode) else KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")


def size(path: Path | str) -> int:
    """Bytes of a regular file.

    Raises:
        DataError: it is none.
        OSError: it is not there.
    """
    status = asking(path, lambda: os.stat(path))
    refuse_others(path, status)
    return status.st_size


def is_folder(path: Path) -> bool:
    """Whether a folder lies there."""
    return asking(path, path.is_dir)


def read(path: Path | str, offset: int = 0, length: int | None = None) -> bytes:
    """The content of a file, or `length` bytes from `offset` on, fewer where it ends before.

    Raises:
        DataError: it is no regular file, is not there, or cannot be read.
    """
    try:
        return asking(path, lambda: _read(path, offset, length))
    except OSError as error:
        raise DataError(f"{one_line_path(path)}: cannot be read ({error.strerror}); mend it and run again") from error


def _read(path: Path | str, offset: int, length: int | None) -> bytes:
    # Not blocking: a pipe that took the place of the file since it was listed would not let it be opened.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        refuse_others(path, os.fstat(file.fileno()))
        file.seek(offset)
        return file.read() if length is None else file.read(length)


def refuse_others(path: Path | str, status: os.stat_result) -> None:
    """Raise DataError where `status` is not of a regular file."""
    if (found := kind(status)) is not None:
        raise DataError(f"{one_line_path(path)}: is {found}, where a file was expected; remove it")
