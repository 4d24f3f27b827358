"""convert: write a dataset as .beton files with FFCV; files that are current stay."""

import logging
from dataclasses import replace
from pathlib import Path

from locat.config import ConvertConfig
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.contract.names import one_line
from locat.data import beton
from locat.data.datasets import open_dataset
from locat.data.datasets.base import Dataset
from locat.data.encode import Encoding
from locat.data.intake.stalls import answers_within
from locat.data.overlap import in_both
from locat.engine.progress import Progress, watched
from locat.engine.tracking import tracked
from locat.tasks.segmentation.pixels import draw_pixels

logger = logging.getLogger(__name__)

GB = 10**9  # bytes


def convert(config: ConvertConfig, job: JobFolder) -> None:
    """Write outputs/train.beton and outputs/val.beton, each with its manifest, and of masks a figure of their pixels.

    Raises:
        ConfigError: a `shorter_side` is set, and the images have masks or share one size.
        DataError, JobError: see `locat.data.datasets.open_dataset` and `locat.data.beton.write`.
        Superseded: a newer attempt of the job has begun.
    """
    encoding = Encoding(config.shorter_side, config.jpeg_quality, config.most_pixels)
    with tracked(job, config, is_main=True):
        with answers_within(config.read_timeout):
            splits = open_dataset(config.dataset)
        paths = {split: job.outputs / config.outputs[split] for split in splits}
        for split, dataset in splits.items():
            contents = dataset.contents
            if config.shorter_side is not None and (contents.storage == "pixels" or contents.mask_classes):
                raise ConfigError(
                    f"shorter_side: the images of {config.dataset.name} are stored in their own size, which is that "
                    "of their masks or the same for all; remove it"
                )
            path = paths[split]
            with Progress(job, f"convert {split}", len(dataset), "image") as progress:
                manifest = beton.write(
                    path,
                    dataset,
                    config.workers,
                    watched(progress),
                    encoding,
                    config.most_bad,
                    config.read_timeout,
                    all_classes=config.dataset.all_classes and split == "train",
                    shard_bytes=int((config.max_shard_gb or 0) * GB),
                )
            stored, bad = manifest.contents.samples, manifest.quarantined
            logger.info("%s: %d images, %.0f MB, %d left out", path, stored, manifest.bytes / 1e6, len(bad))
            for entry in bad[: beton.SHOWN]:
                logger.warning("left out %s: %s", one_line(entry.file), entry.reason)
            for what, images in manifest.done.items():
                logger.warning("%s: %d images: %s", path, images, what)
        draw_pixels(paths, job.figures / "pixels.png")
        common = count_common(splits["val"], paths["train"], paths["val"])
        if common.images:
            logger.warning(
                "%d of the evaluation images are training images as well, byte for byte, such as %s: numbers on them "
                "tell too much",
                common.images,
                ", ".join(map(one_line, common.examples)),
            )


def count_common(val: Dataset, train_path: Path, val_path: Path) -> beton.InTrain:
    """The evaluation images that are training images as well; they are counted into the manifest."""
    train = beton.open_manifest(train_path).sha256
    manifest = beton.open_manifest(val_path)
    if manifest.in_train is not None and manifest.in_train.train == train:
        return manifest.in_train
    common = in_both(train_path, val_path)
    left_out = {entry.file for entry in manifest.quarantined}
    stored = [name for name in map(val.name, range(len(val))) if name not in left_out] if common else []
    found = beton.InTrain(len(common), tuple(stored[sample] for sample in common[: beton.SHOWN]), train)
    beton.write_manifest(val_path, replace(manifest, in_train=found))
    return found
