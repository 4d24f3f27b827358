"""One FFCV loader for training and evaluation that can be put at any (epoch, batch)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numba
import numpy as np
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.fields.ndarray import NDArrayDecoder
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.loader import Loader as FFCVLoader
from numpy.typing import NDArray

from locat.data import order
from locat.data.beton import open_manifest
from locat.data.producer import Producer
from locat.errors import ConfigError, DataError

DECODERS = {"image": SimpleRGBImageDecoder, "label": IntDecoder, "mask": NDArrayDecoder}


@dataclass(frozen=True)
class Batch:
    """One rank's n samples of a batch, on its device."""

    views: tuple[torch.Tensor, ...]
    """What was asked for of each image: uint8 (n, 3, H, W) each, in channels-last memory."""
    target: torch.Tensor
    """The label, int64 (n,), or the mask, uint8 (n, H, W): whichever the loader was asked for."""
    index: torch.Tensor
    """The samples' numbers in the dataset, int64 (n,)."""

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


class Place(NamedTuple):
    """The next batch to consume."""

    epoch: int = 0
    batch: int = 0
    """Its number within the epoch."""


START = Place()


class Loader:
    """Batches of one .beton file for one rank.

    In training every epoch has its own order and the last partial batch is dropped. In evaluation the
    order is the file's, and every sample comes exactly once: all ranks yield the same number of batches,
    of which the last one is smaller, and on some ranks empty, where the samples do not divide.

    Args:
        path: the .beton file, its manifest beside it.
        batch_size: samples of a batch over all ranks.
        seed: of the training order.
        rank, world_size: which part of each batch is this process's.
        threads: decoding threads, at most the cores this process may use; they do not change what is yielded.
        train: shuffle and drop the last partial batch.
        target: what comes with the image.
        device: where the batches are put.

    Raises:
        DataError: the file is missing, truncated or of another layout.
        ConfigError: the ranks cannot share `batch_size`, or training has fewer samples than that.
    """

    def __init__(
        self,
        path: Path,
        batch_size: int,
        *,
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
        self.target, self.device = target, torch.device(device)
        self.contents = open_manifest(path).contents
        self.batches_per_epoch = order.batch_count(self.contents.samples, batch_size, drop_last=train)
        if not self.batches_per_epoch:
            raise ConfigError(f"batch_size {batch_size} exceeds the {self.contents.samples} samples of {path}")
        pipelines: dict[str, Any] = dict.fromkeys(DECODERS)  # None: the field is not read
        pipelines |= {field: [DECODERS[field]()] for field in ("image", target)}
        torch_threads = torch.get_num_threads()
        try:
            self._ffcv = FFCVLoader(
                str(path),
                order.rank_batch_size(batch_size, world_size),
                num_workers=min(threads, numba.config.NUMBA_NUM_THREADS),
                os_cache=True,
                pipelines=pipelines,
            )
        except (AssertionError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
            raise DataError(f"{path}: FFCV cannot read it ({error}); convert it again") from error
        finally:
            torch.set_num_threads(torch_threads)  # FFCV sets its own number for the whole process

    def batches(self, start: Place = START) -> Iterator[tuple[Batch, Place]]:
        """Batches from `start` to the end of its epoch, each with the place after it.

        A place belongs to the batch it came with, not to those that were decoded ahead.

        Raises:
            DataError: decoding failed, or stopped.
            ConfigError: an epoch has no such batch.
        """
        if start.batch >= self.batches_per_epoch:
            raise ConfigError(
                f"{self.path}: cannot start at batch {start.batch} of {self.batches_per_epoch} in an epoch"
            )
        samples = self._samples(start)
        size = self._ffcv.batch_size
        with Producer(self._ffcv, samples, pinned=self.device.type == "cuda") as decoded:
            for number in range(start.batch, self.batches_per_epoch):
                first = (number - start.batch) * size
                index = torch.from_numpy(samples[first : first + size].copy())
                image, target = next(decoded) if len(index) else self._nothing()
                if target.ndim == 2:
                    target = target.squeeze(1)  # FFCV gives scalars as (n, 1)
                image, target, index = (
                    part.to(self.device, non_blocking=True) for part in (image.permute(0, 3, 1, 2), target, index)
                )
                batch = Batch((image,), target, index)
                last = number + 1 == self.batches_per_epoch
                yield batch, Place(start.epoch + 1) if last else Place(start.epoch, number + 1)

    def stream(self, start: Place = START) -> Iterator[tuple[Batch, Place]]:
        """Batches from `start` on, epoch after epoch, without end; otherwise as `batches`."""
        while True:
            for batch, after in self.batches(start):
                yield batch, after
            start = after

    def _samples(self, start: Place) -> NDArray[np.int64]:
        """This rank's samples from `start` to the end of the epoch."""
        count = self.contents.samples
        everything = order.epoch_order(count, self.seed, start.epoch) if self.train else np.arange(count)
        return order.rank_order(
            everything, self.batch_size, start.batch, self.batches_per_epoch, self.rank, self.world_size
        )

    def _nothing(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What FFCV would decode from no samples."""
        size = self.contents.image_size
        image = torch.empty((0, size, size, 3), dtype=torch.uint8)
        if self.target == "label":
            return image, torch.empty((0, 1), dtype=torch.int64)
        return image, torch.empty((0, size, size), dtype=torch.uint8)
