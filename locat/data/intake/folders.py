"""Walking a source folder: which files it holds, each once, and what was left out, with the reason.

Entries that lie in the folder itself come first and links after them: a file that a link leads to as well keeps the
place where it lies.
"""

import errno
import logging
import os
import stat
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from locat.contract.errors import DataError
from locat.contract.names import one_line, one_line_path
from locat.contract.system_files import is_system
from locat.data.intake.files import refuse_others
from locat.data.intake.stalls import asking

logger = logging.getLogger(__name__)

SHOWN = 3  # names in a message


class File(NamedTuple):
    """A regular file."""

    name: str
    """Its path within the folder."""
    path: str
    size: int
    """Bytes."""


class LeftOut(NamedTuple):
    """An entry that is not taken."""

    name: str
    reason: str


@dataclass
class Listing:
    """What a folder holds."""

    root: Path
    files: list[File] = field(default_factory=list)
    """With the endings that were asked for; in no order."""
    folders: list[str] = field(default_factory=list)
    """Names of the folders in it, links to folders too; sorted."""
    left_out: list[LeftOut] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    """Of files that were not asked for: how many there are of each ending."""

    def tell(self) -> None:
        """Log what was left out."""
        if self.left_out:
            listed = "; ".join(f"{one_line(entry.name)}: {entry.reason}" for entry in sorted(self.left_out)[:SHOWN])
            more = f"; and {len(self.left_out) - SHOWN} more" if len(self.left_out) > SHOWN else ""
            logger.warning("%s: left out %s%s", one_line_path(self.root), listed, more)
        if self.endings:
            counts = ", ".join(
                f"{count} {one_line(ending) or 'with none'}" for ending, count in sorted(self.endings.items())
            )
            logger.info("%s: files of other endings are left out: %s", one_line_path(self.root), counts)


def files_in(root: Path, endings: Collection[str]) -> Listing:
    """The files in a folder whose names end in one of `endings`, in small or capital letters; see `files_below`."""
    return _Walk(root, endings, None, deep=False).walk()


def files_below(root: Path, endings: Collection[str], other: Path | None = None) -> Listing:
    """The files in a folder and the folders in it, links followed, whose names end in one of `endings`.

    Each file is found once, by device and inode. Hidden entries, links that lead back or into the folder `other`, and
    links to nothing that do not have such an ending are left out.

    Raises:
        DataError: a folder in it cannot be read, or what has such an ending is no file or a link to nothing.
    """
    return _Walk(root, endings, other, deep=True).walk()


class _Walk:
    def __init__(self, root: Path, endings: Collection[str], other: Path | None, deep: bool) -> None:
        self.found = Listing(root)
        self.endings, self.deep = tuple(endings), deep
        self.links: deque[str] = deque()
        """Names of links that are followed when everything else was found."""
        self.taken: dict[tuple[int, int], str] = {}
        """Names of files and folders by device and inode."""
        self.home = os.path.realpath(root)
        self.other = os.path.realpath(other) if other is not None else None
        if self.other is not None and _is_within(self.home, self.other):
            self.other = None  # the same folder is asked for twice, or one within the other

    def walk(self) -> Listing:
        self._folder("", self._stat(""))
        while self.links:
            self._follow(self.links.popleft())
        self.found.folders.sort()
        return self.found

    def _folder(self, name: str, status: os.stat_result) -> None:
        self.taken[status.st_dev, status.st_ino] = name
        try:
            path = self._path(name)
            entries = asking(path, lambda: sorted(os.scandir(path), key=lambda entry: entry.name))
        except OSError as error:
            raise self._unreadable(name, error) from error
        for entry in entries:
            inner = os.path.join(name, entry.name)
            if is_system(entry.name):
                self._leave_out(inner, "hidden, or a system's own")
            elif entry.is_symlink():
                self.links.append(inner)
            else:
                self._take(inner, self._stat(inner))

    def _follow(self, name: str) -> None:
        """Take what a link leads to."""
        path = self._path(name)
        try:
            status = asking(path, lambda: os.stat(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise self._unreadable(name, error) from error
            if self._is_wanted(name):
                raise DataError(
                    f"{one_line_path(self._path(name))}: a link to nothing ({error.strerror}); "
                    "bring back what it leads to, or remove it"
                ) from error
            self._leave_out(name, "a link to nothing")
            return
        target = asking(path, lambda: os.path.realpath(path))
        parent = os.path.realpath(os.path.dirname(path))
        if stat.S_ISDIR(status.st_mode) and (_is_within(parent, target) or _is_within(self.home, target)):
            self._leave_out(name, "a link back to a folder that it lies in")
        elif self.other is not None and _is_within(target, self.other):
            self._leave_out(name, "a link into the other split")
        else:
            self._take(name, status)

    def _take(self, name: str, status: os.stat_result) -> None:
        """Take a file, or a folder with all in it."""
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder and os.sep not in name:
            self.found.folders.append(name)
        if is_folder and not self.deep:
            return
        if not is_folder and not self._is_wanted(name):
            self.found.endings[os.path.splitext(name)[1].lower()] += 1
            return
        if not is_folder:
            refuse_others(self._path(name), status)
        if self.deep and (first := self._taken(status)) is not None:
            self._leave_out(name, f"the same as {one_line(first)}")
        elif is_folder:
            self._folder(name, status)
        else:
            self.taken[status.st_dev, status.st_ino] = name
            self.found.files.append(File(name, self._path(name), status.st_size))

    def _taken(self, status: os.stat_result) -> str | None:
        """The name under which this file was found already."""
        first = self.taken.get((status.st_dev, status.st_ino))
        if first is None:
            return None
        # Some network file systems give a number again: size and time must be the same as well.
        before = self._stat(first)
        same = (before.st_size, before.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
        return first if same or stat.S_ISDIR(status.st_mode) else None

    def _is_wanted(self, name: str) -> bool:
        return name.lower().endswith(self.endings)

    def _leave_out(self, name: str, reason: str) -> None:
        self.found.left_out.append(LeftOut(name, reason))

    def _path(self, name: str) -> str:
        return os.path.join(self.found.root, name) if name else str(self.found.root)

    def _stat(self, name: str) -> os.stat_result:
        path = self._path(name)
        try:
            return asking(path, lambda: os.stat(path))
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: OSError) -> DataError:
        remedy = (
            "it was there a moment ago: run again when nothing writes to the folder"
            if error.errno == errno.ENOENT
            else "make it readable, or move it away"
        )
        return DataError(f"{one_line_path(self._path(name))}: cannot be read ({error.strerror}); {remedy}")


def _is_within(path: str, folder: str) -> bool:
    """Whether a path is `folder` or lies in it; both are without links."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
