"""Segmentation by retrieval as the paper's released script does it (docs/fidelity.md)."""

import torch
from timm.models import SwinTransformer
from torch import Tensor

from locat.data.augment.normalise import IMAGENET, Statistics
from locat.data.batch import Batch
from locat.data.joint import resize_mask
from locat.data.labels import IGNORED
from locat.data.memory_views import MemoryView
from locat.data.open_sets import Source
from locat.data.reader import Reader
from locat.data.segmentation import Square
from locat.tasks.segmentation.retrieval import Retrieval
from locat.tasks.segmentation.scores import class_scores, matched, segmentation_scores

STATISTICS = Statistics(IMAGENET.mean, (0.229, 0.224, 0.255))
"""The script's: its last number is 0.255, where ImageNet's is 0.225."""
UNLABELLED = "(not labelled)"


class ReleaseRetrieval(Retrieval):
    """The bank holds one random view of each image, and pixels that are not labelled are a class, the first.

    Evaluation is at the size that the backbone sees, without the pixels that are not labelled. Predicted classes are
    matched to true ones so that the sum of IoUs is largest, and mIoU is the mean over all classes, the first and
    absent ones included, which have 0.
    """

    def _statistics(self) -> Statistics:
        super()._statistics()  # tells of a backbone that was trained with others
        return STATISTICS

    def _classes(self) -> tuple[str, ...]:
        return (UNLABELLED, *super()._classes())

    def _level(self) -> int:
        """Of a Swin the last stage but one, whose patches have the 16 pixels of a ViT's."""
        return -2 if isinstance(self.backbone, SwinTransformer) else -1

    def _open_bank(self, source: Source) -> Reader:
        self.view = MemoryView(self.config.side, self.config.seed)
        return self._open(source, Square(self.config.side, masks=True), self.view)

    def _learnt(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images, masks = batch.image, batch.target
        if not images.is_floating_point():  # of one stored size: not varied by the reader
            views = [self.view(*pair) for pair in zip(images, masks, batch.index.tolist(), strict=True)]
            images, masks = (torch.stack(part) for part in zip(*views, strict=True))
        return images, masks + 1  # of uint8: what is not labelled, 255, becomes 0

    def _truth(self, batch: Batch) -> Tensor:
        truth = resize_mask(batch.target, self._size)
        return torch.where(truth == IGNORED, truth, truth + 1)

    def _settled(self, confusion: Tensor) -> Tensor:
        return matched(confusion)

    def _scores(self, confusion: Tensor) -> dict[str, float]:
        miou = class_scores(confusion).iou.nan_to_num(0).mean().item()
        return segmentation_scores(confusion) | {"miou": miou}
