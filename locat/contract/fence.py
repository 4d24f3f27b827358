"""Two attempts of one job at once: the newest alone writes what another may read.

Locks keep attempts apart where all machines see them; many a network file system shows each machine its own. A node
that its scheduler has given up may live on, and so may a pod that was deleted by force. So an attempt puts its name
into `attempts/newest` before it reads anything, and every writer in the job's folder asks its `Fence` first. What an
attempt writes piece by piece has a name of its own until it is complete: one that is stopped between its look and its
write then leaves something whole, or nothing.

The name is a file's content, not a folder's listing: NFS may show a folder as it was a minute ago, but asks its server
about each file that is opened.
"""

import errno
import glob
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from locat.contract import durable
from locat.contract.errors import Superseded
from locat.contract.outcome import attempt_folder

NEWEST = "newest"
"""In the folder of a job's attempts: the name of the newest one."""
UNFINISHED = ".partial"
"""What the name of a file or folder ends in that an attempt is writing."""
PAUSE = 1.0
"""Seconds between two looks of who asks at every step."""


class Fence:
    """Whether an attempt is the newest of its job; a job that runs by hand, without attempts, always is."""

    def __init__(self, attempt: Path | None) -> None:
        """`attempt`: its folder."""
        self._attempt = attempt
        self._looked = -math.inf
        self._noticed = False

    @classmethod
    def here(cls) -> "Fence":
        """That of the attempt which this process belongs to."""
        return cls(attempt_folder())

    @property
    def mark(self) -> str:
        """What tells the attempt's unfinished files from another one's: `.attempt-3`; empty by hand."""
        return f".attempt-{self._attempt.name}" if self._attempt else ""

    def claim(self) -> None:
        """Make the attempt the newest: from here on those before it write nothing."""
        assert self._attempt is not None, "a job that runs by hand has no attempts"
        durable.write_text(self._attempt.parent / NEWEST, self._attempt.name)

    def reason(self) -> str:
        """Why the attempt may write nothing more: another one has begun; empty if none has.

        Raises:
            OSError: that cannot be told now.
        """
        if self._attempt is None:
            return ""
        own, file = self._attempt.name, self._attempt.parent / NEWEST
        try:
            newest = file.read_text(errors="replace")
        except FileNotFoundError:  # it was begun by an older version, or the run was deleted
            return ""
        if not newest.isdecimal():  # the next attempt puts it right
            raise OSError(errno.EIO, "names no attempt", str(file))
        return f"attempt {newest} of this job has begun, so attempt {own} ends" if newest != own else ""

    def check(self) -> None:
        """See that the attempt may write.

        Raises:
            Superseded: another one has begun.
            OSError: that cannot be told now.
        """
        if reason := self.reason():
            raise Superseded(reason)

    def notices(self) -> bool:
        """Whether another attempt has begun, by a look once a second at most; cheap enough for every step."""
        if not self._noticed and time.monotonic() >= self._looked + PAUSE:
            self._looked = time.monotonic()
            with suppress(OSError):  # it is asked again, and writers ask by themselves
                self._noticed = bool(self.reason())
        return self._noticed

    @contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """Where to write a file that then becomes `path`. What kills have left of it is deleted.

        Raises:
            Superseded: the attempt is no longer the newest; nothing is written.
        """
        self.check()
        for left in path.parent.glob(f".{glob.escape(path.name)}.*{UNFINISHED[1:]}"):
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}{self.mark}{UNFINISHED}")
        try:
            yield temporary
            self.check()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
