"""Threads that decode ahead of the consumer, made so that no failure leaves it waiting for ever."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from locat.contract.errors import JobError, UserError
from locat.data.batch import Batch, PendingBatch
from locat.data.position import Position

AHEAD = 3  # batches under way or ready
PIECES = 2  # of a batch, for each thread
STALL_LIMIT = 300.0  # seconds without a batch, compilation included, after which decoding counts as stuck
POLL_INTERVAL = 1.0  # seconds between two looks at whether the threads live

BatchStream = Generator[tuple[Batch, Position], None, None]
"""Batches, each with the position after it; to close it ends the threads that decode."""


def produce(name: str, pending: Iterator[PendingBatch], threads: int) -> BatchStream:
    """The batches in their order, each with the position after it; AHEAD of them are decoded at a time.

    Args:
        name: of the file, for messages.
        pending: the batches to decode, taken one by one; it may go on without end.
        threads: how many decode.

    Raises:
        JobError: a batch could not be made, or there was none for STALL_LIMIT seconds.
        DataError: the data are not as they should be.
    """
    under_way: deque[tuple[PendingBatch, list[Future[None]]]] = deque()
    with DecodingThreads(name, threads) as decoding:
        while True:
            while len(under_way) < AHEAD and (batch := next(pending, None)) is not None:
                under_way.append((batch, decoding.begin(batch)))
            if not under_way:
                return
            batch, work = under_way.popleft()
            for future in work:
                decoding.wait(future)
            yield batch.finish(), batch.after


class DecodingThreads:
    """Threads that share the work on each batch."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self._closed = False
        self._tasks: SimpleQueue[tuple[Future[None], Callable[[], None]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"decode {name}", daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def begin(self, batch: PendingBatch) -> list[Future[None]]:
        """Have the batch decoded, in pieces."""
        size = len(batch.samples)
        step = max(1, -(-size // (PIECES * len(self._threads))))
        allocated = self._submit(batch.allocate)

        def fill(first: int) -> Callable[[], None]:
            def task() -> None:
                # `allocated` was taken from the queue before this, so that waiting for it cannot block for ever.
                allocated.result()
                batch.fill(first, min(first + step, size))

            return task

        return [allocated, *(self._submit(fill(first)) for first in range(0, size, step))]

    def wait(self, future: Future[None]) -> None:
        """Until that piece is decoded; raises as `produce`."""
        until = time.monotonic() + STALL_LIMIT
        while True:
            try:
                return future.result(timeout=min(POLL_INTERVAL, STALL_LIMIT))
            except UserError:
                raise
            except BaseException as error:
                if future.done():
                    raise JobError(f"{self.name}: decoding failed: {error!r}") from error
                if not isinstance(error, TimeoutError):
                    raise  # the consumer was interrupted
                if not all(thread.is_alive() for thread in self._threads):
                    raise JobError(f"{self.name}: a decoding thread ended") from None
                if time.monotonic() > until:
                    raise JobError(f"{self.name}: no batch was decoded for {STALL_LIMIT:.0f} seconds") from None

    def _submit(self, task: Callable[[], None]) -> Future[None]:
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def _work(self) -> None:
        while not self._closed and (item := self._tasks.get()) is not None:
            future, task = item
            try:
                future.set_result(task())
            except BaseException as error:  # SystemExit too: the consumer must hear of it
                future.set_exception(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(timeout=1)  # not for ever: it may be the one that is stuck
