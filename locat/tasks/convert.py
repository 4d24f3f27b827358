"""convert: write a dataset as .beton files with FFCV; files that are current stay."""

import logging

from locat.config import ConvertConfig
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.data.datasets import open_dataset
from locat.data.encode import Encoding
from locat.engine.progress import Progress
from locat.engine.tracking import tracked

logger = logging.getLogger(__name__)


def convert(config: ConvertConfig, job: JobFolder) -> None:
    """Write outputs/train.beton and outputs/val.beton, each with its manifest.

    Raises:
        ConfigError: a `shorter_side` is set, and the images have masks or share one size.
        DataError, JobError: see `locat.data.datasets.open_dataset` and `locat.data.beton.write`.
    """
    encoding = Encoding(config.shorter_side, config.jpeg_quality)
    with tracked(job, config, is_main=True):
        for split, dataset in open_dataset(config.dataset).items():
            contents = dataset.contents
            if config.shorter_side is not None and (contents.storage == "pixels" or contents.mask_classes):
                raise ConfigError(
                    f"shorter_side: the images of {config.dataset.name} are stored in their own size, which is that "
                    "of their masks or the same for all; remove it"
                )
            path = job.outputs / config.outputs[split]
            with Progress(job, f"convert {split}", len(dataset), "image") as progress:
                manifest = beton.write(path, dataset, config.workers, progress.advance_to, encoding, config.most_bad)
            stored, bad = manifest.contents.samples, manifest.quarantined
            logger.info("%s: %d images, %.0f MB, %d left out", path, stored, manifest.bytes / 1e6, len(bad))
            for entry in bad[: beton.SHOWN]:
                logger.warning("left out %s: %s", entry.file, entry.reason)
