"""Threads that work ahead of the consumer, made so that no failure leaves it waiting for ever."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from locat.contract.errors import JobError, UserError

AHEAD = 3  # batches under way or ready
PIECES = 2  # of a batch, for each thread
STALL_LIMIT = 300.0  # seconds without a batch, compilation included, after which decoding counts as stuck
POLL_INTERVAL = 1.0  # seconds between two looks at whether the threads live

Batch = TypeVar("Batch")


class Producer(Generic[Batch]):
    """Batches in order, each prepared once and then filled in pieces by all threads.

    Args:
        name: of the file, for messages.
        sizes: samples of each batch.
        threads: how many.
        prepare: makes batch `number`.
        fill: does its samples `first` to `last` - 1, in any order and at the same time as others.
    """

    def __init__(
        self,
        name: str,
        sizes: Sequence[int],
        threads: int,
        prepare: Callable[[int], Batch],
        fill: Callable[[Batch, int, int], None],
    ) -> None:
        self.name, self.sizes, self.prepare, self.fill = name, sizes, prepare, fill
        self._closed = False
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self.threads = [Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def __iter__(self) -> Iterator[Batch]:
        """The batches.

        Raises:
            JobError: a batch could not be made, or there was none for STALL_LIMIT seconds.
            DataError: the data are not as they should be, says `prepare` or `fill`.
        """
        pending: deque[list[Future[Any]]] = deque()
        for number in range(len(self.sizes) + AHEAD):
            if number < len(self.sizes):
                pending.append(self._submit_batch(number))
            if number >= AHEAD - 1 and pending:
                results = [self._wait(future) for future in pending.popleft()]
                yield results[0]

    def _submit_batch(self, number: int) -> list[Future[Any]]:
        size = self.sizes[number]
        step = max(1, -(-size // (PIECES * len(self.threads))))
        prepared = self._submit(lambda: self.prepare(number))

        def fill(first: int) -> Callable[[], None]:
            # `prepared` was taken from the queue before this, so that waiting for it cannot block for ever.
            return lambda: self.fill(prepared.result(), first, min(first + step, size))

        return [prepared, *(self._submit(fill(first)) for first in range(0, size, step))]

    def _submit(self, task: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._tasks.put((future, task))
        return future

    def _work(self) -> None:
        while not self._closed and (item := self._tasks.get()) is not None:
            future, task = item
            try:
                future.set_result(task())
            except BaseException as error:  # SystemExit too: the consumer must hear of it
                future.set_exception(error)

    def _wait(self, future: Future[Any]) -> Any:
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
                if not all(thread.is_alive() for thread in self.threads):
                    raise JobError(f"{self.name}: a decoding thread ended") from None
                if time.monotonic() > until:
                    raise JobError(f"{self.name}: no batch was decoded for {STALL_LIMIT:.0f} seconds") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for _ in self.threads:
            self._tasks.put(None)
        for thread in self.threads:
            thread.join(timeout=1)  # not for ever: it may be the one that is stuck
