"""Files of which a few are open at a time, for any number of threads."""

import os
import resource
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


def most_open() -> int:
    """How many files one dataset may have open: an eighth of those that the process may have, for others need some."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else min(4096, max(16, soft // 8))


@dataclass
class _Open:
    file: int
    readers: int


class OpenFiles:
    """Files by number, opened when they are asked for; of those that nobody reads the longest unused are closed."""

    def __init__(self, opener: Callable[[int], int], most: int | None = None) -> None:
        """`opener` opens the file of a number. More than `most` are open only while as many threads read."""
        self._opener, self._most = opener, most or most_open()
        self._lock = threading.Lock()
        self._files: OrderedDict[int, _Open] = OrderedDict()
        weakref.finalize(self, _close_all, self._files)

    def __len__(self) -> int:
        return len(self._files)

    @contextmanager
    def reading(self, number: int) -> Iterator[int]:
        """A file that stays open meanwhile; raises what `opener` raises."""
        opened = self._taken(number) or self._added(number)
        try:
            yield opened.file
        finally:
            with self._lock:
                opened.readers -= 1
                self._close_some()

    def _taken(self, number: int) -> _Open | None:
        """The file, if it is open, with one reader more."""
        with self._lock:
            opened = self._files.get(number)
            if opened is not None:
                self._files.move_to_end(number)
                opened.readers += 1
            return opened

    def _added(self, number: int) -> _Open:
        """The file opened, with one reader more; others do not wait for that, so that two threads may open one."""
        file = self._opener(number)
        with self._lock:
            opened = self._files.setdefault(number, _Open(file, 0))
            opened.readers += 1
        if opened.file != file:
            os.close(file)
        return opened

    def _close_some(self) -> None:
        if len(self._files) <= self._most:
            return
        for number, opened in list(self._files.items()):
            if len(self._files) <= self._most:
                return
            if not opened.readers:
                os.close(self._files.pop(number).file)


def _close_all(files: OrderedDict[int, _Open]) -> None:
    for opened in files.values():
        os.close(opened.file)
    files.clear()
