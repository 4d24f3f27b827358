"""One FFCV loader for training and evaluation that can be put at any (epoch, batch)."""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError, DataError
from locat.data import order
from locat.data.beton import open_manifest
from locat.data.cores import available_cores
from locat.data.decode import CHANNELS, Workspace, cut_images
from locat.data.position import START, Position
from locat.data.producer import Producer
from locat.data.stored import Stored
from locat.data.views import View, Whole, cuts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """One rank's n samples of a batch."""

    views: tuple[torch.Tensor, ...]
    """What was asked for of each image: uint8 (n, 3, H, W) each, in channels-last memory on the rank's device."""
    target: torch.Tensor
    """The label, int64 (n,), or the mask, uint8 (n, H, W), whichever the loader was asked for, on that device."""
    index: torch.Tensor
    """The samples' numbers in the dataset, int64 (n,), on the CPU: who draws by them waits for no device."""

    @property
    def image(self) -> torch.Tensor:
        """The first view."""
        return self.views[0]

    def __len__(self) -> int:
        return len(self.index)

    def split(self, size: int) -> Iterator["Batch"]:
        """The batch in pieces of `size` samples, the last one smaller where that does not divide."""
        views = zip(*(view.split(size) for view in self.views), strict=True)
        for parts in zip(views, self.target.split(size), self.index.split(size), strict=True):
            yield Batch(*parts)


class Loader:
    """Batches of one .beton file for one rank.

    In training every epoch has its own order and the last partial batch is dropped. In evaluation the
    order is the file's, and every sample comes exactly once: all ranks yield the same number of batches,
    of which the last one is smaller, and on some ranks empty, where the samples do not divide.

    Args:
        path: the .beton file, its manifest beside it.
        batch_size: samples of a batch over all ranks.
        views: what is cut out of each image, which is decoded once for all of them.
        seed: of the training order and the views.
        rank, world_size: which part of each batch is this process's.
        threads: decoding threads, at most the cores this process may use; they do not change what is yielded.
        train: shuffle and drop the last partial batch.
        target: what comes with the image; a mask comes as stored, whatever the views.
        device: where the batches are put.

    Raises:
        DataError: the file is missing, truncated or of another layout.
        ConfigError: the ranks cannot share `batch_size`, training has fewer samples than that, or images of
            several sizes are wanted whole.
    """

    def __init__(
        self,
        path: Path,
        batch_size: int,
        *,
        views: Sequence[View] = (Whole(),),
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        threads: int = 1,
        train: bool = False,
        target: Literal["label", "mask"] = "label",
        device: torch.device | str = "cpu",
    ) -> None:
        self.path, self.batch_size, self.seed, self.train = path, batch_size, seed, train
        self.rank, self.world_size = rank, world_size
        self.views, self.target, self.device = tuple(views), target, torch.device(device)
        self.contents = open_manifest(path).contents
        self.batches_per_epoch = order.batch_count(self.contents.samples, batch_size, drop_last=train)
        if not self.batches_per_epoch:
            raise ConfigError(f"batch_size {batch_size} exceeds the {self.contents.samples} samples of {path}")
        self._share = rank_batch_size(batch_size, world_size)
        self._threads = min(threads, available_cores())
        if self._threads < threads:
            logger.warning("%d loader threads, not %d: this process may use no more cores", self._threads, threads)
        self._stored = Stored(path)
        if len(self._stored) != self.contents.samples:
            raise DataError(f"{path}: {len(self._stored)} samples where its manifest says {self.contents.samples}")
        self._shapes = [self._shape(view) for view in self.views]
        self._local = threading.local()

    def _shape(self, view: View) -> tuple[int, int]:
        """Height and width of a view."""
        if not isinstance(view, Whole):
            return view.size, view.size
        heights, widths = self._stored.images["height"], self._stored.images["width"]
        if (heights != heights[0]).any() or (widths != widths[0]).any():
            raise ConfigError(f"{self.path}: its images have several sizes; crop them")
        return int(heights[0]), int(widths[0])

    def batches(self, start: Position = START) -> Iterator[tuple[Batch, Position]]:
        """Batches from `start` to the end of its epoch, each with the position after it.

        A position belongs to the batch it came with, not to those that were decoded ahead.

        Raises:
            DataError: a sample is damaged.
            JobError: decoding failed otherwise, or stopped.
            ConfigError: an epoch has no such batch.
        """
        if start.batch >= self.batches_per_epoch:
            raise ConfigError(
                f"{self.path}: cannot start at batch {start.batch} of {self.batches_per_epoch} in an epoch"
            )
        samples = self._samples(start)
        numbers = range(start.batch, self.batches_per_epoch)
        shares = [samples[at * self._share :][: self._share] for at in range(len(numbers))]

        epoch = start.epoch

        def prepare(number: int) -> "_Decoding":
            return self._prepare(shares[number], epoch)

        with Producer(str(self.path), [len(share) for share in shares], self._threads, prepare, self._fill) as decoded:
            for decoding in decoded:
                start = start.after_batch(self.batches_per_epoch)
                yield decoding.batch(self.device), start

    def stream(self, start: Position = START) -> Iterator[tuple[Batch, Position]]:
        """Batches from `start` on, epoch after epoch, without end; otherwise as `batches`."""
        while True:
            for batch, after in self.batches(start):
                yield batch, after
            start = after

    def _samples(self, start: Position) -> NDArray[np.int64]:
        """This rank's samples from `start` to the end of the epoch."""
        count = self.contents.samples
        everything = order.epoch_order(count, self.seed, start.epoch) if self.train else np.arange(count)
        return order.rank_order(
            everything, self.batch_size, start.batch, self.batches_per_epoch, self.rank, self.world_size
        )

    def _prepare(self, samples: NDArray[np.int64], epoch: int) -> "_Decoding":
        """A batch of `samples` (n,) whose pixels are still to come."""
        pinned = self.device.type == "cuda"
        images = self._stored.images[samples]
        found = cuts(self.views, images["height"], images["width"], samples, seed=self.seed, epoch=epoch)
        sizes = np.array([height * width * CHANNELS for height, width in self._shapes])
        ends = np.cumsum(sizes * len(samples))
        found["address"] = (ends - sizes * len(samples)) + np.arange(len(samples))[:, None] * sizes
        read = self._stored.labels if self.target == "label" else self._stored.masks
        target, index = torch.from_numpy(read(samples)), torch.from_numpy(samples.copy())
        if pinned:
            target = target.pin_memory()
        pixels = torch.empty(int(ends[-1]), dtype=torch.uint8, pin_memory=pinned)
        return _Decoding(images, found, pixels, self._shapes, target, index)

    def _fill(self, decoding: "_Decoding", first: int, last: int) -> None:
        """Decode the batch's samples `first` to `last` - 1."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = Workspace(self._stored.images)
        problem = cut_images(
            self._stored.file,
            decoding.images[first:last],
            decoding.cuts[first:last],
            decoding.pixels.numpy(),
            self._local.workspace,
        )
        if problem:
            sample = int(decoding.index[first + problem[0]])
            raise DataError(f"{self.path}: sample {sample}: {problem[1]}; convert it again")


@dataclass(frozen=True)
class _Decoding:
    """One rank's n samples of a batch while they are decoded."""

    images: NDArray[np.void]
    cuts: NDArray[np.void]
    pixels: torch.Tensor
    """All views, one behind the other, uint8, flat."""
    shapes: Sequence[tuple[int, int]]
    target: torch.Tensor
    index: torch.Tensor

    def batch(self, device: torch.device) -> Batch:
        pixels, target = (part.to(device, non_blocking=True) for part in (self.pixels, self.target))
        counts = [len(self.index) * height * width * CHANNELS for height, width in self.shapes]
        views = (
            part.view(len(self.index), height, width, CHANNELS).permute(0, 3, 1, 2)
            for part, (height, width) in zip(pixels.split(counts), self.shapes, strict=True)
        )
        return Batch(tuple(views), target, self.index)
