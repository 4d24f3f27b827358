"""Files that jobs write, and in whose place a job's program may have put anything."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, to be read; a pipe would not let itself be opened, or never end.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is no regular file.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("no regular file")
        yield file
