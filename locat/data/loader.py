"""One FFCV loader for training and evaluation that can be put at any (epoch, batch)."""

import threading
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from locat.contract.errors import ConfigError
from locat.data import order
from locat.data.batch import Batch, PendingBatch
from locat.data.decode import CHANNELS, Workspace
from locat.data.open_sets import Source, open_samples
from locat.data.position import Position
from locat.data.reader import Reader, ReadSettings
from locat.data.views import View, Whole, cuts


class Loader(Reader):
    """Views of images, uint8, with a label or a mask.

    In training every epoch has its own order and the last partial batch is dropped. In evaluation the
    order is the file's, and every sample comes exactly once: all ranks yield the same number of batches,
    of which the last one is smaller, and on some ranks empty, where the samples do not divide.

    Args:
        source: a .beton file or folder of shards, its manifest beside it; or several that are mixed.
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
        source: Source,
        settings: ReadSettings,
        *,
        views: Sequence[View] = (Whole(),),
        train: bool = False,
        target: Literal["label", "mask"] = "label",
    ) -> None:
        contents, self.stored = open_samples(source, settings.seed if train else None)
        count = order.batch_count(contents.samples, settings.batch_size, drop_last=train)
        super().__init__(self.stored.path, settings, contents, count)
        self.views, self.train, self.target = tuple(views), train, target
        self.sizes = [self._size(view) for view in self.views]
        """Height and width of each view."""
        self._local = threading.local()

    def _size(self, view: View) -> tuple[int, int]:
        if not isinstance(view, Whole):
            return view.size, view.size
        if self.contents.image_size is not None:
            return self.contents.image_size, self.contents.image_size
        images = self.stored.images
        heights, widths = images["height"], images["width"]
        if (heights != heights[0]).any() or (widths != widths[0]).any():
            raise ConfigError(f"{self.path}: its images have several sizes; crop them")
        return int(heights[0]), int(widths[0])

    @property
    def workspace(self) -> Workspace:
        """This thread's own."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = self.stored.workspace()
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
        self._found = loader.stored.find(samples, self._epoch)
        height, width = self._found.images["height"], self._found.images["width"]
        self._cuts = cuts(loader.views, height, width, samples, seed=loader.settings.seed, epoch=self._epoch)
        sizes = np.array([height * width * CHANNELS for height, width in loader.sizes])
        ends = np.cumsum(sizes * len(samples))
        self._cuts["address"] = (ends - sizes * len(samples)) + np.arange(len(samples))[:, None] * sizes
        # All views, one behind the other, flat.
        self._pixels = torch.empty(int(ends[-1]), dtype=torch.uint8, pin_memory=pinned)
        target = torch.from_numpy(self._found.labels() if loader.target == "label" else self._found.masks())
        self._target = target.pin_memory() if pinned else target

    def fill(self, first: int, last: int) -> None:
        rows = slice(first, last)
        self._found.cut(rows, self._cuts[rows], self._pixels.numpy(), self._loader.workspace)

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
