"""The thread that decodes ahead, made so that no failure leaves the consumer waiting for ever."""

from queue import Empty, Full
from types import TracebackType
from typing import Any, Self

import numba
import numpy as np
import torch
from ffcv.loader.epoch_iterator import EpochIterator
from numpy.typing import NDArray

from locat.errors import DataError

STALL_LIMIT = 300.0  # seconds without a batch, compilation included, after which decoding counts as stuck
POLL_INTERVAL = 0.1  # seconds between two looks at whether the consumer has left

Decoded = tuple[torch.Tensor, ...]


class Producer(EpochIterator):  # type: ignore[misc]
    """Decodes `samples` (n,) batch by batch, some batches ahead; an iterator of owned tensors.

    FFCV's own thread dies of an exception without a word, hands out views of memory that it uses
    again, and sets torch's threads for the whole process; this one does none of that.
    """

    def __init__(self, loader: Any, samples: NDArray[np.int64], pinned: bool) -> None:
        self.pinned = pinned
        super().__init__(loader, samples)  # starts the thread

    def run(self) -> None:
        """The thread's work: every batch into the queue, or the exception that stopped it."""
        try:
            numba.set_num_threads(self.loader.num_workers)
            for number, samples in enumerate(self.iter_ixes):
                views = self.run_pipeline(number, samples, 0, None)  # slot 0 always: it is copied at once
                self._put(tuple(self._own(view) for view in views))
                if self.terminate_event.is_set():
                    return
        except BaseException as error:
            self._put(error)

    def _own(self, view: NDArray[Any]) -> torch.Tensor:
        source = torch.from_numpy(view)
        return torch.empty(source.shape, dtype=source.dtype, pin_memory=self.pinned).copy_(source)

    def _put(self, item: Decoded | BaseException) -> None:
        while not self.terminate_event.is_set():
            try:
                self.output_queue.put(item, timeout=POLL_INTERVAL)
                return
            except Full:
                continue

    def __next__(self) -> Decoded:
        """The next batch's fields.

        Raises:
            DataError: decoding failed, or gave nothing for STALL_LIMIT seconds.
        """
        name = self.loader.fname
        try:
            item: Decoded | BaseException = self.output_queue.get(timeout=STALL_LIMIT)
        except Empty:
            raise DataError(f"{name}: no batch was decoded for {STALL_LIMIT:.0f} seconds") from None
        if isinstance(item, BaseException):
            raise DataError(f"{name}: decoding failed: {item!r}") from item
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.join(timeout=1)  # not for ever: it may be the one that is stuck
