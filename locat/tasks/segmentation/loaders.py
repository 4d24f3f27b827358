"""Loaders of images with masks: augmented crops to train on, whole images to evaluate on."""

from dataclasses import replace

from locat.config import SegmentConfig
from locat.config.augmentation import Unchanged
from locat.config.sets import called
from locat.config.training import Data
from locat.contract.errors import ConfigError
from locat.data.augment.normalise import Statistics
from locat.data.open_sets import manifest_of
from locat.data.reader import Reader
from locat.data.segmentation import CroppedPairs, KeepRatio, WholePairs
from locat.engine.distributed import Ranks
from locat.tasks.loaders import open_loaders, read_settings, verify

PICTURED = 6
"""Evaluation images in the overlay figure."""


def open_mask_loaders(config: SegmentConfig, ranks: Ranks, statistics: Statistics) -> tuple[Reader, Reader]:
    """Loaders of the training and the evaluation set; the main rank verifies the files' digests first.

    Images that are not augmented are all of one size, and come as uint8; others are normalised by `statistics`. To be
    looked at several times each, those of the evaluation set come one by one: of all their pixels there are logits.

    Raises:
        ConfigError: they are of several sizes.
        DataError: a file is not what its manifest promises, or holds no such set.
    """
    if isinstance(config.augment, Unchanged):
        for sets in (config.data.train, config.data.val):
            if manifest_of(sets).contents.storage == "files":
                raise ConfigError(f"{called(sets)}: its images have several sizes; set augment: {{name: benchmark}}")
        return open_loaders(config, ranks, "mask", one_by_one=bool(config.evaluation.called))
    verify(config.data, ranks)
    settings, antialias = read_settings(config, ranks), config.protocol == "exact"
    looked_at = replace(settings, batch_size=ranks.world_size) if config.evaluation.called else settings
    return (
        CroppedPairs(config.data.train, settings, config.augment, statistics, antialias),
        WholePairs(config.data.val, looked_at, KeepRatio(config.augment.resize), statistics, antialias=antialias),
    )


def check_masks(data: Data) -> None:
    """Raise ConfigError unless the training and the evaluation set have masks of the same classes."""
    train, val = (manifest_of(sets).contents.mask_classes for sets in (data.train, data.val))
    if not train:
        raise ConfigError(f"{called(data.train)}: its images have no masks; convert a segmentation set")
    if train != val:
        raise ConfigError(
            f"{called(data.val)}: its masks have other classes than those of {called(data.train)}; use one dataset"
        )
