"""One FFCV loader for training and evaluation that can be put at any (epoch, batch)."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from locat.contract.errors import ConfigError, DataError
from locat.data import order
from locat.data.batch import Batch, PendingBatch
from locat.data.beton import open_manifest
from locat.data.decode import CHANNELS, Workspace, cut_images
from locat.data.position import Position
from locat.data.reader import Reader, ReadSettings
from locat.data.stored import Stored
from locat.data.views import View, Whole, cuts


class Loader(Reader):
    """Views of images, uint8, with a label or a mask.

    In training every epoch has its own order and the last partial batch is dropped. In evaluation the
    order is the file's, and every sample comes exactly once: all ranks yield the same number of batches,
    of which the last one is smaller, and on some ranks empty, where the samples do not divide.

    Args:
        path: the .beton file, its manifest beside it.
        settings: which part of each batch is read, and how.
        views: what is cut out of each image, which is decoded once for all of them.
        train: shuffle and drop the last partial batch.
        target: what comes with the image; a mask comes as stored, whatever the views.

    Raises:
        DataError: the file is missing, truncated or of another layout.
        ConfigError: the ranks cannot share `batch_size`, training has fewer samples than that, or images of
            several sizes are wanted whole.
    """

    def __init__(
        self,
        path: Path,
        settings: ReadSettings,
        *,
        views: Sequence[View] = (Whole(),),
        train: bool = False,
        target: Literal["label", "mask"] = "label",
    ) -> None:
        contents = open_manifest(path).contents
        count = order.batch_count(contents.samples, settings.batch_size, drop_last=train)
        super().__init__(path, settings, contents, count)
        self.views, self.train, self.target = tuple(views), train, target
        self.stored = Stored(path)
        if len(self.stored) != contents.samples:
            raise DataError(f"{path}: {len(self.stored)} samples where its manifest says {contents.samples}")
        self.sizes = [self._size(view) for view in self.views]
        """Height and width of each view."""
        self._local = threading.local()

    def _size(self, view: View) -> tuple[int, int]:
        if not isinstance(view, Whole):
            return view.size, view.size
        heights, widths = self.stored.images["height"], self.stored.images["width"]
        if (heights != heights[0]).any() or (widths != widths[0]).any():
            raise ConfigError(f"{self.path}: its images have several sizes; crop them")
        return int(heights[0]), int(widths[0])

    @property
    def workspace(self) -> Workspace:
        """This thread's own."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = Workspace(self.stored.images)
        found: Workspace = self._local.workspace
        return found

    def own_samples(self, start: Position) -> Iterator[NDArray[np.int64]]:
        count, settings = self.contents.samples, self.settings
        shuffled = order.epoch_order(start.order, count, settings.seed, start.epoch) if self.train else None
        batches = range(start.batch, self.batches_per_epoch)
        return order.rank_batches(
            shuffled or order.stored_order(count), settings.batch_size, batches, settings.rank, settings.world_size
        )

    def pending(self, samples: NDArray[np.int64], position: Position, after: Position) -> "PendingViews":
        return PendingViews(self, samples, position.epoch, after)


class PendingViews(PendingBatch):
    """A batch whose views are still to be cut out of its images."""

    def __init__(self, loader: Loader, samples: NDArray[np.int64], epoch: int, after: Position) -> None:
        super().__init__(samples, after)
        self._loader, self._epoch = loader, epoch

    def allocate(self) -> None:
        loader, samples = self._loader, self.samples
        pinned = loader.device.type == "cuda"
        self._images = loader.stored.images[samples]
        height, width = self._images["height"], self._images["width"]
        self._cuts = cuts(loader.views, height, width, samples, seed=loader.settings.seed, epoch=self._epoch)
        sizes = np.array([height * width * CHANNELS for height, width in loader.sizes])
        ends = np.cumsum(sizes * len(samples))
        self._cuts["address"] = (ends - sizes * len(samples)) + np.arange(len(samples))[:, None] * sizes
        # All views, one behind the other, flat.
        self._pixels = torch.empty(int(ends[-1]), dtype=torch.uint8, pin_memory=pinned)
        read = loader.stored.labels if loader.target == "label" else loader.stored.masks
        target = torch.from_numpy(read(samples))
        self._target = target.pin_memory() if pinned else target

    def fill(self, first: int, last: int) -> None:
        loader, rows = self._loader, slice(first, last)
        problem = cut_images(
            loader.stored.file, self._images[rows], self._cuts[rows], self._pixels.numpy(), loader.workspace
        )
        if problem:
            sample = self.samples[first + problem[0]]
            raise DataError(f"{loader.path}: sample {sample}: {problem[1]}; convert it again")

    def finish(self) -> Batch:
        device, sizes, count = self._loader.device, self._loader.sizes, len(self.samples)
        pixels, target = (part.to(device, non_blocking=True) for part in (self._pixels, self._target))
        views = (
            part.view(count, height, width, CHANNELS).permute(0, 3, 1, 2)
            for part, (height, width) in zip(
                pixels.split([count * height * width * CHANNELS for height, width in sizes]), sizes, strict=True
            )
        )
        return Batch(tuple(views), target, torch.from_numpy(self.samples.copy()))
