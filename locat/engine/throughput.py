"""How fast training goes, and how much of its time it waits for data."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Throughput:
    """Counts images and waiting since the last `restart`."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again, so that what was done in between (evaluation, checkpoints) does not count."""
        self._since, self._waited, self._images = time.perf_counter(), 0.0, 0

    def watch(self, batches: Iterable[T]) -> Iterator[T]:
        """`batches` as they come; the time until each is there counts as waiting."""
        iterator = iter(batches)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - asked
            yield batch

    def count(self, images: int) -> None:
        """Say that so many images were consumed."""
        self._images += images

    def metrics(self) -> dict[str, float]:
        """Images per second, and the share (0..1) of the time in which this rank waited for its data."""
        seconds = time.perf_counter() - self._since
        return {
            "throughput/images_per_second": self._images / seconds,
            "throughput/data_wait": self._waited / seconds,
        }
