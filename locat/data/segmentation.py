"""Loaders of images and masks of any size: what comes depends on neither threads nor ranks nor where it starts.

Samples are decoded and varied one by one in threads (torch's operations leave Python's lock), which write
them into batches that are some ahead of the consumer.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from locat.config.augmentation import SegmentationAugmentation
from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError
from locat.data import order
from locat.data.augment import normalize
from locat.data.joint import augment, draw, keep_ratio, resize_image
from locat.data.labels import IGNORED
from locat.data.loader import Batch
from locat.data.pairs import Pairs
from locat.data.position import START, Position

AHEAD = 2
"""Batches that are begun before they are asked for."""
LARGEST_PIECE = 2**23
"""Pixels, of all its masks, that one batch of evaluation has at most; a single image may have more."""

Size = tuple[int, int]
Prepare = Callable[[int], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Share:
    """How one rank takes part in reading."""

    batch_size: int
    """Samples of a batch over all ranks."""
    rank: int = 0
    world_size: int = 1
    threads: int = 1
    device: torch.device | str = "cpu"

    @property
    def own(self) -> int:
        """Samples of a full batch that are this rank's."""
        return rank_batch_size(self.batch_size, self.world_size)


class TrainPairs:
    """Augmented crops; every epoch has its own order, and its last partial batch is dropped.

    Images are normalised float (n, 3, crop, crop), masks uint8 (n, crop, crop); smaller crops are padded by 0 and 255.
    """

    def __init__(self, path: Path, config: SegmentationAugmentation, share: Share, seed: int) -> None:
        self.pairs, self.config, self.share, self.seed = Pairs(path), config, share, seed
        self.contents = self.pairs.contents
        self.batches_per_epoch = order.batch_count(len(self.pairs), share.batch_size, drop_last=True)
        if not self.batches_per_epoch:
            raise ConfigError(f"batch_size {share.batch_size} exceeds the {len(self.pairs)} samples of {path}")

    def batches(self, start: Position = START) -> Iterator[tuple[Batch, Position]]:
        """Batches from `start` to the end of its epoch, each with the position after it.

        Raises:
            DataError: a sample is damaged.
            JobError: decoding failed otherwise, or stopped.
        """
        epoch = start.epoch
        everything = order.epoch_order(len(self.pairs), self.seed, epoch)
        share = self.share
        samples = order.rank_order(
            everything, share.batch_size, start.batch, self.batches_per_epoch, share.rank, share.world_size
        )
        crop = (self.config.crop, self.config.crop)

        def prepare(sample: int) -> tuple[torch.Tensor, torch.Tensor]:
            image, mask = augment(*self.pairs[sample], self.config, draw(self.seed, epoch, sample))
            return normalised(image), mask

        pieces = [Piece(part, crop, crop) for part in samples.reshape(-1, share.own)]
        for batch in decoded(pieces, prepare, share):
            start = start.after_batch(self.batches_per_epoch)
            yield batch, start

    def stream(self, start: Position = START) -> Iterator[tuple[Batch, Position]]:
        """Batches from `start` on, epoch after epoch, without end."""
        while True:
            for batch, after in self.batches(start):
                yield batch, after
            start = after


class ValPairs:
    """Whole images, each exactly once, in batches of images of one size; all ranks yield as many batches.

    Images are normalised float (n, 3, h, w), resized to fit `resize` with their ratio kept; masks uint8 (n, H, W) have
    their original size. A batch of this rank may be empty.
    """

    def __init__(self, path: Path, resize: Size, share: Share) -> None:
        self.pairs, self.resize, self.share = Pairs(path), resize, share
        self.contents = self.pairs.contents
        self.pieces = share_out(self.pairs.sizes, resize, share)

    def batches(self) -> Iterator[tuple[Batch, Position]]:
        """This rank's batches, each with the position after it.

        Raises:
            DataError: a sample is damaged.
            JobError: decoding failed otherwise, or stopped.
        """
        position = START
        for batch in decoded(self.pieces, self._prepare, self.share):
            position = position.after_batch(len(self.pieces))
            yield batch, position

    def alone(self, sample: int) -> Batch:
        """One image as a batch of its own, whichever rank asks."""
        image, mask = self._prepare(sample)
        image, mask = (part[None].to(self.share.device) for part in (image, mask))
        return Batch((image,), mask, torch.tensor([sample]))

    def _prepare(self, sample: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.pairs[sample]
        return normalised(resize_image(image, keep_ratio(tuple(mask.shape), self.resize))), mask


@dataclass(frozen=True)
class Piece:
    """Samples (n,) of one batch, and the height and width of its images and of its masks."""

    samples: NDArray[np.int64]
    image_size: Size
    mask_size: Size


def share_out(sizes: NDArray[np.int64], resize: Size, share: Share) -> list[Piece]:
    """One rank's batches of samples with these heights and widths (n, 2): large images first, equal work for all."""
    pieces = []
    for height, width in np.unique(sizes, axis=0).tolist():
        samples = np.flatnonzero((sizes == (height, width)).all(axis=1))
        most = max(1, min(share.own, LARGEST_PIECE // (height * width)))
        parts = np.split(samples, range(most, len(samples), most))
        pieces += [Piece(part, keep_ratio((height, width), resize), (height, width)) for part in parts]
    pieces.sort(key=lambda piece: -len(piece.samples) * piece.image_size[0] * piece.image_size[1])
    last = pieces[-1]
    missing = -len(pieces) % share.world_size
    pieces += [Piece(last.samples[:0], last.image_size, last.mask_size)] * missing
    return pieces[share.rank :: share.world_size]


def normalised(image: torch.Tensor) -> torch.Tensor:
    """uint8 (3, H, W) as float32 with ImageNet's mean and standard deviation taken out."""
    return normalize(image, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)


def decoded(pieces: Iterable[Piece], prepare: Prepare, share: Share) -> Iterator[Batch]:
    """The batch of each piece, in their order, its samples prepared in threads."""
    device = torch.device(share.device)
    begun: deque[Begun] = deque()
    pool = ThreadPoolExecutor(share.threads, "decode", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for piece in pieces:
            begun.append(Begun(piece, prepare, pool, pinned=device.type == "cuda"))
            if len(begun) > AHEAD:
                yield begun.popleft().finished(device)
        while begun:
            yield begun.popleft().finished(device)
    finally:
        pool.shutdown(cancel_futures=True)


class Begun:
    """A batch whose samples are being prepared."""

    def __init__(self, piece: Piece, prepare: Prepare, pool: ThreadPoolExecutor, pinned: bool) -> None:
        count = len(piece.samples)
        self._images = torch.zeros((count, 3, *piece.image_size), pin_memory=pinned)
        self._masks = torch.full((count, *piece.mask_size), IGNORED, dtype=torch.uint8, pin_memory=pinned)
        self._index = torch.from_numpy(piece.samples.copy())

        def fill(row: int, sample: int) -> None:
            image, mask = prepare(sample)
            self._images[row, :, : image.shape[1], : image.shape[2]] = image
            self._masks[row, : mask.shape[0], : mask.shape[1]] = mask

        self._work: list[Future[None]] = [
            pool.submit(fill, row, sample) for row, sample in enumerate(piece.samples.tolist())
        ]

    def finished(self, device: torch.device) -> Batch:
        """Wait for the samples, and put them on the device."""
        for done in self._work:
            done.result()
        images, masks = (part.to(device, non_blocking=True) for part in (self._images, self._masks))
        return Batch((images,), masks, self._index)
