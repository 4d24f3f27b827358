"""Loaders of images with masks: augmented crops to train on, whole images to evaluate on."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch

from locat.config import SegmentConfig
from locat.config.augmentation import Unchanged
from locat.config.training import Data
from locat.contract.errors import ConfigError
from locat.data.beton import open_manifest
from locat.data.loader import Batch, Loader
from locat.data.segmentation import Share, TrainPairs, ValPairs
from locat.engine.distributed import Ranks
from locat.tasks.loaders import open_loaders, verify

PICTURED = 6
"""Evaluation images in the overlay figure."""


def open_mask_loaders(config: SegmentConfig, ranks: Ranks) -> tuple[TrainPairs | Loader, ValPairs | Loader]:
    """Loaders of the training and the evaluation set; the main rank verifies the files' digests first.

    Images that are not augmented are all of one size, and come as uint8.

    Raises:
        ConfigError: they are of several sizes, or have no masks of the same classes.
        DataError: a file is not what its manifest promises, or holds no such set.
    """
    check_masks(config.data)
    if isinstance(config.augment, Unchanged):
        for path in (config.data.train, config.data.val):
            if open_manifest(path).contents.image_size is None:
                raise ConfigError(f"{path}: its images have several sizes; set augment: {{name: benchmark}}")
        return open_loaders(config, ranks, "mask")
    verify(config.data, ranks)
    share = Share(config.batch_size, ranks.rank, ranks.world_size, config.loader_threads, ranks.device)
    return (
        TrainPairs(config.data.train, config.augment, share, config.seed),
        ValPairs(config.data.val, config.augment.resize, share),
    )


def check_masks(data: Data) -> None:
    """Raise ConfigError unless the training and the evaluation set have masks of the same classes."""
    train, val = (open_manifest(path).contents.mask_classes for path in (data.train, data.val))
    if not train:
        raise ConfigError(f"{data.train}: its images have no masks; convert a segmentation set")
    if train != val:
        raise ConfigError(f"{data.val}: its masks have other classes than those of {data.train}; use one dataset")


def pictured(loader: ValPairs | Loader) -> Iterator[tuple[torch.Tensor, Batch]]:
    """The same PICTURED images of an evaluation set every time: uint8 (H, W, 3), and each as a batch of its own."""
    if isinstance(loader, ValPairs):
        for sample in np.linspace(0, len(loader.pairs) - 1, min(PICTURED, len(loader.pairs))).astype(int).tolist():
            yield loader.pairs[sample][0].permute(1, 2, 0), loader.alone(sample)
    else:
        first, _ = next(loader.batches())
        for batch in islice(first.split(1), PICTURED):
            yield batch.image[0].permute(1, 2, 0), batch
