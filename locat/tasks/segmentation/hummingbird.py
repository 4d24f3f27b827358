"""hummingbird: segment by retrieval from a bank of labelled patches (Balažević et al. 2023); nothing is trained.

Patches of the training images, as the frozen backbone gives them, are kept with the shares of the classes of their
pixels. A patch of an evaluation image gets the shares of its nearest ones; these are brought to the pixels of the
original image, bilinear in between, and the largest wins. Images are squares, not augmented, each seen once.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.config import HummingbirdConfig
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.data.augment import normalize
from locat.data.batch import Batch
from locat.data.beton import open_manifest
from locat.data.joint import resize_image, resize_mask
from locat.data.loader import Loader
from locat.data.reader import Reader
from locat.data.segmentation import Square, WholePairs
from locat.engine.distributed import Ranks
from locat.engine.evaluation import Evaluation, Watch, run_evaluation
from locat.engine.precision import autocast
from locat.models.create import load_backbone
from locat.models.segmentation_head import patch_dim, patch_features
from locat.tasks.loaders import read_settings, verify
from locat.tasks.results import write_results
from locat.tasks.segmentation.figures import Picture
from locat.tasks.segmentation.loaders import PICTURED, check_masks
from locat.tasks.segmentation.memory_bank import MemoryBank, class_shares
from locat.tasks.segmentation.protocol import statistics_for
from locat.tasks.segmentation.report import write_report
from locat.tasks.segmentation.scores import Confusion, segmentation_scores
from locat.tasks.segmentation.upsampled import Size, classify, size_of

logger = logging.getLogger(__name__)


def hummingbird(config: HummingbirdConfig, job: JobFolder) -> None:
    """Segment the evaluation set by the training set; leave metrics.json, tables and figures."""
    run_evaluation(lambda ranks: Retrieval(config, job, ranks), config, job)


class Retrieval(Evaluation):
    """Each rank embeds its share of the training images, and segments its share of the evaluation set.

    Raises:
        ConfigError: there are no masks of the same classes, `image_size` is no whole patches, or the bank is too small.
        DataError: a file is not what its manifest promises.
    """

    def __init__(self, config: HummingbirdConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        check_masks(config.data)
        verify(config.data, ranks)
        backbone, self.backbone_name = load_backbone(config.backbone)
        self.statistics = statistics_for(backbone, self.backbone_name, config.protocol)
        self.train, self.val = self._open(config.data.train, bank=True), self._open(config.data.val, bank=False)
        self.classes = self.train.contents.mask_classes
        self.backbone = backbone.eval().requires_grad_(False).to(ranks.device)
        self.patch = cast(int, self.backbone.feature_info[-1]["reduction"])  # type: ignore[index]
        if config.image_size % self.patch:
            raise ConfigError(
                f"image_size {config.image_size}: is to be a multiple of the {self.patch} pixels of a patch "
                f"of the backbone in {config.backbone}"
            )
        self.bank = self._new_bank()

    def measure(self, watch: Watch) -> dict[str, float]:
        self.counts = self.confusion(watch)
        return {name: 100 * value for name, value in segmentation_scores(self.counts).items()}

    def export(self, metrics: dict[str, float]) -> None:
        contents = self.train.contents
        miou = f"mIoU {metrics['miou']:.1f} % ({self.config.protocol})"
        title = f"{self.backbone_name} by retrieval on {contents.source}: {miou}"
        write_report(self.job, title, self.classes, self.counts.cpu(), list(self.pictures()))
        write_results(self.job, self.config, self.backbone_name, contents, metrics)

    def confusion(self, watch: Watch) -> Tensor:
        """Pixels by true and predicted class, (classes, classes), truth in rows; the same on every rank."""
        for batch in watch.batches(self.train, "patches of the training set"):
            masks = resize_mask(batch.target, self._size)
            shares = class_shares(masks, self.patch, len(self.classes)).cpu()
            self.bank.add(batch.index, self._patches(batch)[0], shares, self.config.seed)
        self.bank.gather()
        logger.info("%d patches in the memory bank", len(self.bank))
        if len(self.bank) < self.config.neighbours:
            raise ConfigError(f"neighbours: {self.config.neighbours} are more than the {len(self.bank)} patches kept")
        confusion = Confusion(len(self.classes), self.ranks.device)
        for batch in watch.batches(self.val, "segmenting the evaluation set"):
            confusion.add(self._predict(batch), batch.target)
        return confusion.reduce()

    def pictures(self) -> Iterator[Picture]:
        """Some evaluation images with truth and prediction."""
        for image, batch in self.val.examples(PICTURED):
            yield Picture(*(part.cpu().numpy() for part in (image, batch.target[0], self._predict(batch)[0])))

    @property
    def _size(self) -> Size:
        return self.config.image_size, self.config.image_size

    def _new_bank(self) -> MemoryBank:
        images = self.train.contents.samples
        per_image = min(self.config.memory_size // images, (self.config.image_size // self.patch) ** 2)
        if not per_image:
            raise ConfigError(f"memory_size {self.config.memory_size}: is less than a patch of each of {images} images")
        return MemoryBank(images, per_image, patch_dim(self.backbone), len(self.classes))

    def _predict(self, batch: Batch) -> Tensor:
        """Classes of the pixels at the truth's size, uint8 (n, H, W)."""
        queries, grid = self._patches(batch)
        found = self.bank.look_up(queries.flatten(0, 1), self.config.neighbours, self.config.temperature)
        shares = found.view(len(batch), *grid, -1).permute(0, 3, 1, 2).to(self.ranks.device)
        size = size_of(batch.target)
        return classify(shares, size, size, size)

    @torch.no_grad()
    def _patches(self, batch: Batch) -> tuple[Tensor, Size]:
        """Features of unit length, float32 (n, patches, dim) on the CPU, and the height and width of their grid."""
        images = batch.image
        if not images.is_floating_point():
            images = normalize(resize_image(images, self._size), *self.statistics)
        with autocast(self.config.precision, self.ranks.device):
            features = patch_features(self.backbone, images)
        return F.normalize(features.float().flatten(2).transpose(1, 2), dim=2).cpu(), size_of(features)

    def _open(self, path: Path, bank: bool) -> Reader:
        """Squares with their masks: in the bank of the same size, in the evaluation as they are stored."""
        settings = read_settings(self.config, self.ranks)
        if open_manifest(path).contents.storage == "files":
            return WholePairs(path, settings, Square(self.config.image_size, masks=bank), self.statistics)
        return Loader(path, settings, target="mask")
