"""One rank's samples of a batch: decoded, or still to be decoded."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from locat.data.position import Position


@dataclass(frozen=True)
class Batch:
    """One rank's n samples of a batch, on the rank's device."""

    views: tuple[torch.Tensor, ...]
    """What was asked for of each image, (n, 3, H, W) each: uint8 in channels-last memory, or normalised float32."""
    target: torch.Tensor
    """The label, int64 (n,), or the mask, uint8 (n, H, W)."""
    index: torch.Tensor
    """The samples' numbers in the dataset, int64 (n,), on the CPU: who draws by them waits for no device."""
    start: int = 0
    """How many of the rank's samples come before these: a piece of a batch is not where the batch begins."""

    @property
    def image(self) -> torch.Tensor:
        """The first view."""
        return self.views[0]

    def __len__(self) -> int:
        return len(self.index)

    def split(self, size: int) -> Iterator["Batch"]:
        """The batch in pieces of `size` samples, the last one smaller where that does not divide."""
        views = zip(*(view.split(size) for view in self.views), strict=True)
        parts = zip(views, self.target.split(size), self.index.split(size), strict=True)
        for number, part in enumerate(parts):
            yield Batch(*part, start=self.start + number * size)


class PendingBatch(ABC):
    """A batch that threads decode: `allocate` once, then `fill` for all its samples, then `finish`."""

    def __init__(self, samples: NDArray[np.int64], after: Position) -> None:
        self.samples = samples
        """Their numbers in the dataset, (n,)."""
        self.after = after
        """Where reading stands once this batch is consumed."""

    @abstractmethod
    def allocate(self) -> None:
        """Make room for the samples; a decoding thread calls it."""

    @abstractmethod
    def fill(self, first: int, last: int) -> None:
        """Decode samples `first` to `last` - 1, at the same time as other threads decode others.

        Raises:
            DataError: a sample is damaged.
        """

    @abstractmethod
    def finish(self) -> Batch:
        """The whole batch on its device; the consumer calls it."""
