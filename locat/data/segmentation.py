"""Readers of images and masks of any size, decoded and varied one by one in threads (torch leaves Python's lock)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from locat.config.augmentation import SegmentationAugmentation
from locat.data import order
from locat.data.augment.normalise import IMAGENET, Statistics, normalize
from locat.data.batch import Batch, PendingBatch
from locat.data.joint import augment, draw, keep_ratio, resize_image, resize_mask
from locat.data.labels import IGNORED
from locat.data.open_sets import Source
from locat.data.pairs import Pairs
from locat.data.position import Position
from locat.data.reader import Reader, ReadSettings

MOST_PIXELS = 2**23
"""Of all its masks that one batch of whole images has at most; a single image may have more."""

Size = tuple[int, int]
Pair = tuple[torch.Tensor, torch.Tensor]
"""A normalised image, float32 (3, h, w), and its mask, uint8 (H, W)."""
Vary = Callable[[torch.Tensor, torch.Tensor, int], Pair]
"""Makes another image and mask, both uint8, of those of a sample, by its number."""


class CroppedPairs(Reader):
    """Augmented crops; every epoch has its own order, and its last partial batch is dropped.

    Images are float (n, 3, crop, crop), normalised by `statistics`, masks uint8 (n, crop, crop); smaller crops are
    padded by 0 and 255.

    Raises:
        DataError: the file is missing, truncated or holds no such pairs.
        ConfigError: the ranks cannot share `batch_size`, or there are fewer samples.
    """

    def __init__(
        self,
        source: Source,
        settings: ReadSettings,
        config: SegmentationAugmentation,
        statistics: Statistics = IMAGENET,
        antialias: bool = True,
    ) -> None:
        self.pairs, self.config = Pairs(source, settings.seed), config
        self.statistics, self.antialias = statistics, antialias
        count = order.batch_count(len(self.pairs), settings.batch_size, drop_last=True)
        super().__init__(self.pairs.path, settings, self.pairs.contents, count)

    def own_samples(self, start: Position) -> Iterator[NDArray[np.int64]]:
        settings = self.settings
        shuffled = order.epoch_order(start.order, len(self.pairs), settings.seed, start.epoch)
        batches = range(start.batch, self.batches_per_epoch)
        return order.rank_batches(shuffled, settings.batch_size, batches, settings.rank, settings.world_size)

    def pending(self, samples: NDArray[np.int64], position: Position, after: Position) -> "PendingPairs":
        crop = (self.config.crop, self.config.crop)
        return PendingPairs(samples, after, crop, crop, partial(self._crop, position.epoch), self.device)

    def _crop(self, epoch: int, sample: int) -> Pair:
        draws = draw(self.settings.seed, epoch, sample)
        image, mask = augment(*self.pairs.in_epoch(epoch, sample), self.config, draws, self.antialias)
        return normalize(image, *self.statistics), mask


@dataclass(frozen=True)
class KeepRatio:
    """Images are resized to fit `into` with their ratio kept; masks stay as they are."""

    into: Size

    def mask_size(self, stored: Size) -> Size:
        """Of the mask of an image of this size."""
        return stored

    def image_size(self, mask: Size) -> Size:
        """Of the image whose mask has this size."""
        return keep_ratio(mask, self.into)


@dataclass(frozen=True)
class Square:
    """Images become `side` x `side` pixels; so do masks if `masks`, else they stay as they are."""

    side: int
    masks: bool = False

    def mask_size(self, stored: Size) -> Size:
        """Of the mask of an image of this size."""
        return (self.side, self.side) if self.masks else stored

    def image_size(self, mask: Size) -> Size:
        """Of the image whose mask has this size."""
        return self.side, self.side


Fit = KeepRatio | Square
"""What size whole images and their masks get."""


class WholePairs(Reader):
    """Whole images, each exactly once, in batches of images of one size; all ranks yield as many batches.

    Images are float (n, 3, h, w), normalised by `statistics`, masks uint8 (n, H, W), both of the size that `fit` says.
    `vary` changes them first. A batch of this rank may be empty.

    Raises:
        DataError: the file is missing, truncated or holds no such pairs.
        ConfigError: the ranks cannot share `batch_size`.
    """

    def __init__(
        self,
        source: Source,
        settings: ReadSettings,
        fit: Fit,
        statistics: Statistics = IMAGENET,
        vary: Vary | None = None,
        antialias: bool = True,
    ) -> None:
        self.pairs, self.fit, self.statistics, self.vary = Pairs(source), fit, statistics, vary
        self.antialias = antialias
        self._own = share_out(self.pairs.sizes, fit, settings)
        super().__init__(self.pairs.path, settings, self.pairs.contents, len(self._own))

    def own_samples(self, start: Position) -> Iterable[NDArray[np.int64]]:
        return [batch.samples for batch in self._own[start.batch :]]

    def pending(self, samples: NDArray[np.int64], position: Position, after: Position) -> "PendingPairs":
        planned = self._own[position.batch]
        return PendingPairs(samples, after, planned.image_size, planned.mask_size, self._whole, self.device)

    def examples(self, count: int) -> Iterator[tuple[torch.Tensor, Batch]]:
        """Up to `count` samples from all over the file, whichever rank asks, each with its image as it is stored."""
        for sample in np.linspace(0, len(self.pairs) - 1, min(count, len(self.pairs))).astype(int).tolist():
            image, mask = (part[None].to(self.device) for part in self._whole(sample))
            yield self.pairs[sample][0].permute(1, 2, 0), Batch((image,), mask, torch.tensor([sample]))

    def _whole(self, sample: int) -> Pair:
        image, mask = self.pairs[sample]
        if self.vary is not None:
            image, mask = self.vary(image, mask, sample)
        stored = (mask.shape[0], mask.shape[1])
        size = self.fit.mask_size(stored)
        image = normalize(resize_image(image, self.fit.image_size(size), self.antialias), *self.statistics)
        return image, mask if size == stored else resize_mask(mask, size)


@dataclass(frozen=True)
class PlannedBatch:
    """Samples (n,) of one batch, and the height and width of its images and of its masks."""

    samples: NDArray[np.int64]
    image_size: Size
    mask_size: Size


def share_out(sizes: NDArray[np.int64], fit: Fit, settings: ReadSettings) -> list[PlannedBatch]:
    """One rank's batches of samples with these heights and widths (n, 2): large images first, equal work for all."""
    planned = []
    sizes = np.array([fit.mask_size((height, width)) for height, width in sizes.tolist()])
    for height, width in np.unique(sizes, axis=0).tolist():
        samples = np.flatnonzero((sizes == (height, width)).all(axis=1))
        most = max(1, min(settings.own_batch_size, MOST_PIXELS // (height * width)))
        parts = np.split(samples, range(most, len(samples), most))
        planned += [PlannedBatch(part, fit.image_size((height, width)), (height, width)) for part in parts]
    planned.sort(key=lambda batch: -len(batch.samples) * batch.image_size[0] * batch.image_size[1])
    last = planned[-1]
    missing = -len(planned) % settings.world_size
    planned += [PlannedBatch(last.samples[:0], last.image_size, last.mask_size)] * missing
    return planned[settings.rank :: settings.world_size]


class PendingPairs(PendingBatch):
    """A batch whose images and masks are still to be decoded; what they leave free is 0 and IGNORED."""

    def __init__(
        self,
        samples: NDArray[np.int64],
        after: Position,
        image_size: Size,
        mask_size: Size,
        decode: Callable[[int], Pair],
        device: torch.device,
    ) -> None:
        super().__init__(samples, after)
        self._image_size, self._mask_size, self._decode, self._device = image_size, mask_size, decode, device

    def allocate(self) -> None:
        count, pinned = len(self.samples), self._device.type == "cuda"
        self._images = torch.zeros((count, 3, *self._image_size), pin_memory=pinned)
        self._masks = torch.full((count, *self._mask_size), IGNORED, dtype=torch.uint8, pin_memory=pinned)

    def fill(self, first: int, last: int) -> None:
        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)  # this thread's own: it is one of many
        for row in range(first, last):
            image, mask = self._decode(int(self.samples[row]))
            self._images[row, :, : image.shape[1], : image.shape[2]] = image
            self._masks[row, : mask.shape[0], : mask.shape[1]] = mask

    def finish(self) -> Batch:
        images, masks = (part.to(self._device, non_blocking=True) for part in (self._images, self._masks))
        return Batch((images,), masks, torch.from_numpy(self.samples.copy()))
