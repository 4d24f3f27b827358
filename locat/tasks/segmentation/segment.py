"""segment: train a small head on a frozen backbone's patches (docs/method.md section 5)."""

from collections.abc import Callable

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from locat.config import SegmentConfig
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.data.augment import normalize
from locat.data.batch import Batch
from locat.data.position import Position
from locat.engine.best import Best
from locat.engine.blocks import compile_blocks
from locat.engine.distributed import Ranks
from locat.engine.loop import run_training
from locat.engine.precision import autocast
from locat.engine.schedules import one_cycle
from locat.engine.task import Batches, Models, Task
from locat.models.segmentation_head import SegmentationHead, patch_dim, patch_features
from locat.tasks.backbone import open_backbone
from locat.tasks.loaders import at_least_one
from locat.tasks.results import write_results
from locat.tasks.segmentation.figures import Picture
from locat.tasks.segmentation.loaders import PICTURED, check_masks, open_mask_loaders
from locat.tasks.segmentation.protocol import covered, statistics_for
from locat.tasks.segmentation.report import write_report
from locat.tasks.segmentation.scores import Confusion, segmentation_scores
from locat.tasks.segmentation.upsampled import Size, classify, cross_entropy, size_of


def segment(config: SegmentConfig, job: JobFolder) -> None:
    """Train and evaluate the head; leave head.safetensors, metrics.json, tables and figures."""
    run_training(lambda ranks: Segment(config, job, ranks), config, job)


class Segment(Task):
    """Cross entropy of the upsampled logits; mIoU, aAcc and mAcc of one confusion matrix, in percent.

    metrics.json has what the last evaluation found, and under `best` the one with the largest mIoU.
    """

    def __init__(self, config: SegmentConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        check_masks(config.data)
        backbone, self.backbone_name = open_backbone(config, job, ranks)
        self.statistics = statistics_for(backbone, self.backbone_name, config.protocol)
        self.train_loader, self.val_loader = open_mask_loaders(config, ranks, self.statistics)
        self.classes = self.train_loader.contents.mask_classes
        self.backbone = backbone.eval().requires_grad_(False).to(ranks.device)
        if config.compile:
            compile_blocks(self.backbone)
        self.model = self._new_head()
        self.best: Best = Best("miou")
        self.total_steps = config.iterations
        self.evaluate_every = config.evaluate_iterations or config.iterations

    def learning_rate(self, step: int) -> float:
        return one_cycle(step, total=self.total_steps, peak=self.config.optimizer.lr)

    def loss(self, models: Models, batch: Batch, position: Position) -> Tensor:
        features, extent = self._features(batch.image)
        over_all = self.config.protocol == "release"
        return cross_entropy(models.trained(features), extent, batch.target, over_all)

    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        confusion = Confusion(len(self.classes), self.ranks.device)
        for batch, _ in interruptible(self.val_loader.batches()):
            predictions = self._predict(models.exported, batch.image, size_of(batch.target))
            if len(batch):
                confusion.add(predictions, batch.target)
        self.confusion = confusion.reduce()
        return {name: 100 * value for name, value in segmentation_scores(self.confusion).items()}

    def export(self, weights: dict[str, Tensor], metrics: dict[str, float]) -> None:
        head = self._new_head().to(self.ranks.device)
        head.load_state_dict(weights)
        head.eval()
        with Fence.here().replacing(self.job.outputs / "head.safetensors") as file:
            save_file(weights, file)
        pictures = []
        with torch.no_grad(), autocast(self.config.precision, self.ranks.device):
            for image, batch in self.val_loader.examples(PICTURED):
                prediction = self._predict(head, batch.image, size_of(batch.target))
                pictures.append(Picture(*(part.cpu().numpy() for part in (image, batch.target[0], prediction[0]))))
        title = f"{self.backbone_name}: mIoU {metrics['miou']:.1f} % ({self.config.protocol})"
        write_report(self.job, title, self.classes, self.confusion.cpu(), pictures)
        self.best.tell(metrics, "last")
        write_results(
            self.job, self.config, self.backbone_name, self.train_loader.contents, metrics, best=self.best.found
        )

    def _new_head(self) -> SegmentationHead:
        return SegmentationHead(patch_dim(self.backbone), self.config.hidden_dim, len(self.classes))

    def _predict(self, head: nn.Module, images: Tensor, size: Size) -> Tensor:
        """Classes of the pixels of each image at its original `size`, uint8 (n, *size); of a blank one if n is 0."""
        features, extent = self._features(at_least_one(images))
        return classify(head(features), extent, size_of(images), size)

    def _features(self, images: Tensor) -> tuple[Tensor, Size]:
        """Frozen patches (n, dim, h, w) of images (n, 3, H, W), and the size that they are taken to cover.

        Images are uint8, or normalised already.
        """
        if not images.is_floating_point():
            images = normalize(images, *self.statistics)
        with torch.no_grad():
            features = patch_features(self.backbone, images)
        return features, covered(self.backbone, size_of(images), self.config.protocol)
