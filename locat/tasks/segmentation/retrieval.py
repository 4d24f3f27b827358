"""Segmentation by retrieval from a bank of labelled patches (Balažević et al. 2023); nothing is trained.

Patches of the training images, as the frozen backbone gives them, are kept with the shares of the classes of their
pixels. A patch of an evaluation image gets the shares of its nearest ones; these are brought to the pixels of the
original image, bilinear in between, and the largest wins. Images are squares, not augmented, each seen once.
"""

import logging
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.config import HummingbirdConfig
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.data.augment.normalise import Statistics, normalize
from locat.data.batch import Batch
from locat.data.joint import resize_image, resize_mask
from locat.data.loader import Loader
from locat.data.open_sets import Source, manifest_of
from locat.data.reader import Reader
from locat.data.segmentation import Square, Vary, WholePairs
from locat.engine.distributed import Ranks
from locat.engine.evaluation import Evaluation, Watch
from locat.engine.precision import autocast
from locat.models.segmentation_head import patch_dim, patch_features
from locat.tasks.backbone import open_backbone
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


class Retrieval(Evaluation):
    """Each rank embeds its share of the training images, and segments its share of the evaluation set.

    What the release's protocol does in another way has a method of its own: see `ReleaseRetrieval`.

    Raises:
        ConfigError: there are no masks of the same classes, `image_size` is no whole patches, or the bank is too small.
        DataError: a file is not what its manifest promises.
    """

    def __init__(self, config: HummingbirdConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        check_masks(config.data)
        verify(config.data, ranks)
        backbone, self.backbone_name = open_backbone(config, job, ranks)
        self.backbone = backbone.eval().requires_grad_(False).to(ranks.device)
        self.statistics = self._statistics()
        self.train, self.val = self._open_bank(config.data.train), self._open_evaluation(config.data.val)
        self.classes = self._classes()
        self.level = self._level()
        self.patch = cast(int, self.backbone.feature_info[self.level]["reduction"])  # type: ignore[index]
        if config.side % self.patch:
            raise ConfigError(
                f"image_size {config.side}: is to be a multiple of the {self.patch} pixels of a patch "
                f"of {config.called}"
            )
        self.bank = self._new_bank()

    def measure(self, watch: Watch) -> dict[str, float]:
        self.counts = self._settled(self.confusion(watch))
        return {name: 100 * value for name, value in self._scores(self.counts).items()}

    def export(self, metrics: dict[str, float]) -> None:
        contents = self.train.contents
        miou = f"mIoU {metrics['miou']:.1f} % ({self.config.protocol})"
        title = f"{self.backbone_name} by retrieval on {contents.source}: {miou}"
        write_report(self.job, title, self.classes, self.counts.cpu(), list(self.pictures()))
        write_results(self.job, self.config, self.backbone_name, contents, metrics)

    def confusion(self, watch: Watch) -> Tensor:
        """Pixels by true and predicted class, (classes, classes), truth in rows; the same on every rank."""
        for batch in watch.batches(self.train, "patches of the training set"):
            images, masks = self._learnt(batch)
            shares = class_shares(masks, self.patch, len(self.classes)).cpu()
            self.bank.add(batch.index, self._patches(images)[0], shares, self.config.seed)
        self.bank.gather()
        logger.info("%d patches in the memory bank", len(self.bank))
        if len(self.bank) < self.config.neighbours:
            raise ConfigError(f"neighbours: {self.config.neighbours} are more than the {len(self.bank)} patches kept")
        confusion = Confusion(len(self.classes), self.ranks.device)
        for batch in watch.batches(self.val, "segmenting the evaluation set"):
            truth = self._truth(batch)
            confusion.add(self._predict(batch, size_of(truth)), truth)
        return confusion.reduce()

    def pictures(self) -> Iterator[Picture]:
        """Some evaluation images with truth and prediction."""
        for image, batch in self.val.examples(PICTURED):
            truth = self._truth(batch)
            pixels = resize_image(image.permute(2, 0, 1), size_of(truth)).permute(1, 2, 0)
            shown = (pixels, truth[0], self._predict(batch, size_of(truth))[0])
            yield Picture(*(part.cpu().numpy() for part in shown))

    def _statistics(self) -> Statistics:
        """What images are normalised by."""
        return statistics_for(self.backbone, self.backbone_name, self.config.protocol)

    def _classes(self) -> tuple[str, ...]:
        """What a patch may show."""
        return self.train.contents.mask_classes

    def _level(self) -> int:
        """Which of the backbone's feature maps is read, counted from the last, -1."""
        return -1

    def _learnt(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images for the bank, and their masks at its size."""
        return batch.image, resize_mask(batch.target, self._size)

    def _truth(self, batch: Batch) -> Tensor:
        """What is to be found, uint8 (n, H, W): the masks at their own size."""
        return batch.target

    def _settled(self, confusion: Tensor) -> Tensor:
        """The confusion matrix that is scored."""
        return confusion

    def _scores(self, confusion: Tensor) -> dict[str, float]:
        """Of a settled confusion matrix, in 0..1."""
        return segmentation_scores(confusion)

    @property
    def _size(self) -> Size:
        return self.config.side, self.config.side

    def _new_bank(self) -> MemoryBank:
        images, most = self.train.contents.samples, self.config.most_patches
        per_image = (self.config.side // self.patch) ** 2
        if most is not None:
            per_image = min(most // images, per_image)
        if not per_image:
            raise ConfigError(f"memory_size {most}: is less than a patch of each of {images} images")
        return MemoryBank(images, per_image, patch_dim(self.backbone, self.level), len(self.classes))

    def _predict(self, batch: Batch, size: Size) -> Tensor:
        """Classes of the pixels at the truth's size, uint8 (n, *size)."""
        queries, grid = self._patches(batch.image)
        found = self.bank.look_up(queries.flatten(0, 1), self.config.neighbours, self.config.temperature)
        shares = found.view(len(batch), *grid, -1).permute(0, 3, 1, 2).to(self.ranks.device)
        return classify(shares, size, size, size)

    @torch.no_grad()
    def _patches(self, images: Tensor) -> tuple[Tensor, Size]:
        """Features of unit length, float32 (n, patches, dim) on the CPU, and the height and width of their grid."""
        if not images.is_floating_point():
            images = normalize(resize_image(images, self._size), *self.statistics)
        with autocast(self.config.precision, self.ranks.device):
            features = patch_features(self.backbone, images, self.level)
        return F.normalize(features.float().flatten(2).transpose(1, 2), dim=2).cpu(), size_of(features)

    def _open_bank(self, source: Source) -> Reader:
        """Squares with masks of that size."""
        return self._open(source, Square(self.config.side, masks=True))

    def _open_evaluation(self, source: Source) -> Reader:
        """Squares with masks as they are stored."""
        return self._open(source, Square(self.config.side))

    def _open(self, source: Source, fit: Square, vary: Vary | None = None) -> Reader:
        settings = read_settings(self.config, self.ranks)
        if manifest_of(source).contents.storage == "files":
            return WholePairs(source, settings, fit, self.statistics, vary)
        return Loader(source, settings, target="mask")
