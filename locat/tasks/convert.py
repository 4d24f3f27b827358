"""convert: write a dataset as .beton files with FFCV; files that are current stay."""

import logging

from locat.config import ConvertConfig
from locat.data.beton import is_current, write
from locat.data.digits import DigitScenes, Split
from locat.engine.progress import Progress
from locat.engine.tracking import tracked
from locat.job_folder import JobFolder

logger = logging.getLogger(__name__)


def convert(config: ConvertConfig, job: JobFolder) -> None:
    """Write outputs/train.beton and outputs/val.beton, each with its manifest."""
    dataset = config.dataset
    counts: dict[Split, int] = {"train": dataset.train_scenes, "val": dataset.val_scenes}
    with tracked(job, config, is_main=True):
        for split, count in counts.items():
            scenes = DigitScenes(split, count, dataset.image_size, dataset.seed)
            path = job.outputs / config.outputs[split]
            if is_current(path, scenes.contents):
                logger.info("%s is current", path)
                continue
            with Progress(job, f"convert {split}", count, "image") as progress:
                write(path, scenes, config.workers, progress.advance_to)
            logger.info("wrote %s: %d scenes, %.0f MB", path, count, path.stat().st_size / 1e6)
