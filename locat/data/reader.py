"""What every reader of a .beton file offers, whatever its samples are."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError
from locat.data.batch import Batch, PendingBatch
from locat.data.cores import available_cores
from locat.data.datasets.base import Contents
from locat.data.order import kind_for
from locat.data.position import Position
from locat.data.producer import BatchStream, produce

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadSettings:
    """How one rank takes part in reading."""

    batch_size: int
    """Samples of a batch over all ranks."""
    seed: int = 0
    """Of the training order and of what is drawn for a sample."""
    rank: int = 0
    world_size: int = 1
    threads: int = 1
    """That decode, at most the cores this process may use; they do not change what is yielded."""
    device: torch.device | str = "cpu"
    """Where the batches are put."""

    @property
    def own_batch_size(self) -> int:
        """Samples of a full batch that are this rank's; ConfigError where the ranks cannot share it evenly."""
        return rank_batch_size(self.batch_size, self.world_size)


class Reader(ABC):
    """Batches of one .beton file for one rank, from any position on.

    What comes depends on neither the threads nor where reading starts, and a global batch not on the ranks.

    Raises:
        ConfigError: the ranks cannot share `batch_size`, or there are fewer samples than an epoch needs.
    """

    def __init__(self, path: Path, settings: ReadSettings, contents: Contents, batches_per_epoch: int) -> None:
        self.path, self.settings, self.contents = path, settings, contents
        self.batches_per_epoch = batches_per_epoch
        """As many on every rank."""
        self.start = Position(order=kind_for(contents.samples))
        """Where a new job begins."""
        self.device = torch.device(settings.device)
        if not batches_per_epoch:
            raise ConfigError(f"batch_size {settings.batch_size} exceeds the {contents.samples} samples of {path}")
        rank_batch_size(settings.batch_size, settings.world_size)  # refused before anything is read
        self._threads = min(settings.threads, available_cores())
        if self._threads < settings.threads:
            logger.warning(
                "%d loader threads, not %d: this process may use no more cores", self._threads, settings.threads
            )

    @abstractmethod
    def own_samples(self, start: Position) -> Iterable[NDArray[np.int64]]:
        """This rank's samples of each batch from `start` to the end of its epoch."""

    @abstractmethod
    def pending(self, samples: NDArray[np.int64], position: Position, after: Position) -> PendingBatch:
        """The batch at `position`, of these `samples` (n,), still to be decoded."""

    def batches(self, start: Position | None = None) -> BatchStream:
        """Batches from `start`, by default the first one, to the end of its epoch, each with the position after it.

        A position belongs to the batch it came with, not to those that were decoded ahead.

        Raises:
            DataError: a sample is damaged.
            JobError: decoding failed otherwise, or stopped.
            ConfigError: an epoch has no such batch.
        """
        return produce(str(self.path), self._epoch(start or self.start), self._threads)

    def stream(self, start: Position | None = None) -> BatchStream:
        """Batches from `start` on, epoch after epoch, without end; otherwise as `batches`."""
        return produce(str(self.path), self._epochs(start or self.start), self._threads)

    def examples(self, count: int) -> Iterator[tuple[torch.Tensor, Batch]]:
        """Up to `count` samples, the same every time: an image to look at, (H, W, 3), and a batch of that sample.

        By default the first ones of this rank's first batch, as they are in it.
        """
        first, _ = next(self.batches())
        for batch in islice(first.split(1), count):
            yield batch.image[0].permute(1, 2, 0), batch

    def _epoch(self, start: Position) -> Iterator[PendingBatch]:
        if start.batch >= self.batches_per_epoch:
            raise ConfigError(
                f"{self.path}: cannot start at batch {start.batch} of {self.batches_per_epoch} in an epoch"
            )
        for samples in self.own_samples(start):
            after = start.after_batch(self.batches_per_epoch)
            yield self.pending(samples, start, after)
            start = after

    def _epochs(self, start: Position) -> Iterator[PendingBatch]:
        while True:
            for batch in self._epoch(start):
                yield batch
                start = batch.after
