"""segment: train a small head on a frozen backbone's patches (method.md section 5)."""

from collections.abc import Iterator
from typing import cast

import torch
from safetensors.torch import save_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassConfusionMatrix

from locat import durable
from locat.config import SegmentConfig
from locat.data.augment import normalize
from locat.data.loader import Batch
from locat.engine.checkpoint import Position
from locat.engine.distributed import Ranks
from locat.engine.loop import Task, run_training
from locat.engine.schedules import one_cycle
from locat.job_folder import JobFolder
from locat.models.create import load_backbone
from locat.models.segmentation_head import SegmentationHead, patch_features
from locat.tasks.figures import IGNORED, overlay_figure, save
from locat.tasks.loaders import at_least_one, open_loaders, stream

PICTURED = 6
"""Validation images in the overlay figure."""


def segment(config: SegmentConfig, job: JobFolder) -> None:
    """Train and evaluate the head; leave head.safetensors, metrics.json and an overlay figure."""
    run_training(lambda ranks: Segment(config, job, ranks), config, job)


class Segment(Task):
    """Cross entropy of the upsampled logits; mIoU, aAcc and mAcc of one confusion matrix, in percent."""

    def __init__(self, config: SegmentConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        self.train_loader, self.val_loader = open_loaders(config, ranks, "mask")
        self.classes = self.train_loader.contents.mask_classes
        backbone, self.backbone_name = load_backbone(config.backbone)
        self.backbone = backbone.eval().requires_grad_(False).to(ranks.device)
        self.model = self._new_head()
        self.total_steps = config.iterations
        self.evaluate_every = config.iterations
        self.confusion = MulticlassConfusionMatrix(len(self.classes), ignore_index=IGNORED).to(ranks.device)

    def batches(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        return stream(self.train_loader, position, self.total_steps)

    def learning_rate(self, step: int) -> float:
        return one_cycle(step, total=self.total_steps, peak=self.config.optimizer.lr)

    def loss(self, module: nn.Module, batch: Batch, position: Position) -> torch.Tensor:
        return F.cross_entropy(self._logits(module, batch), batch.target.long(), ignore_index=IGNORED)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        self.confusion.reset()
        for batch, _ in self.val_loader.batches():
            logits = self._logits(module, batch)
            if len(batch):
                self.confusion.update(logits.argmax(1), batch.target.long())
        return {name: 100 * value for name, value in segmentation_scores(self.confusion.compute()).items()}

    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        head = self._new_head().to(self.ranks.device)
        head.load_state_dict(weights)
        head.eval()
        outputs = self.job.outputs
        outputs.mkdir(parents=True, exist_ok=True)
        save_file(weights, outputs / "head.safetensors")
        batch, _ = next(self.val_loader.batches())
        with torch.no_grad():
            predictions = self._logits(head, batch)[:PICTURED].argmax(1)
        figure = overlay_figure(
            list(batch.image[:PICTURED].permute(0, 2, 3, 1).cpu().numpy()),
            list(batch.target[:PICTURED].cpu().numpy()),
            list(predictions.cpu().numpy()),
            self.classes,
            f"{self.backbone_name}: mIoU {metrics['miou']:.1f} %",
        )
        save(figure, self.job.figures / "overlays.png")
        durable.write_json(
            self.job.results, {"task": self.config.task, "model": self.backbone_name, "metrics": metrics}
        )

    def _new_head(self) -> SegmentationHead:
        return SegmentationHead(cast(int, self.backbone.num_features), self.config.hidden_dim, len(self.classes))

    def _logits(self, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Logits at the images' size, (B, classes, H, W); of a blank image if the batch is empty."""
        images = normalize(at_least_one(batch.image), IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        with torch.no_grad():
            features = patch_features(self.backbone, images)
        return F.interpolate(head(features), batch.image.shape[-2:], mode="bilinear", align_corners=False)


def segmentation_scores(confusion: torch.Tensor) -> dict[str, float]:
    """mIoU, aAcc and mAcc (0..1) of a confusion matrix (classes, classes), truth in rows.

    Classes that are neither in the truth nor predicted do not count for mIoU, those not in the truth not for mAcc.
    """
    confusion = confusion.double()
    hits, truth, predicted = confusion.diag(), confusion.sum(1), confusion.sum(0)
    return {
        "miou": (hits / (truth + predicted - hits)).nanmean().item(),
        "aacc": (hits.sum() / truth.sum()).item(),
        "macc": (hits / truth).nanmean().item(),
    }
