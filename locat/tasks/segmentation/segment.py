"""segment: train a head on a backbone's patches, and if asked the backbone too (docs/segment.md)."""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from timm.data import resolve_data_config
from torch import Tensor, nn

from locat.config import SegmentConfig
from locat.config.augmentation import SegmentationAugmentation
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.data.augment import normalize
from locat.data.batch import Batch
from locat.data.intake.brightness import KEYS
from locat.data.position import Position
from locat.engine.best import Best
from locat.engine.blocks import compile_blocks
from locat.engine.distributed import Ranks
from locat.engine.loop import run_training
from locat.engine.precision import autocast
from locat.engine.schedules import one_cycle
from locat.engine.strategies import micro_batch_size
from locat.engine.task import Batches, Models, Task
from locat.models.segmentation_head import blocks_read, new_head, patch_maps
from locat.models.segmenter import Segmenter, train_what_is_read
from locat.tasks.backbone import model_arguments, new_backbone, open_backbone
from locat.tasks.loaders import at_least_one
from locat.tasks.results import write_results
from locat.tasks.segmentation.figures import Picture
from locat.tasks.segmentation.loaders import PICTURED, check_masks, open_mask_loaders
from locat.tasks.segmentation.loss import SegmentationLoss
from locat.tasks.segmentation.protocol import covered, statistics_for
from locat.tasks.segmentation.report import write_report
from locat.tasks.segmentation.saved import Described, save_segmenter, take_head
from locat.tasks.segmentation.scores import Confusion, segmentation_scores
from locat.tasks.segmentation.upsampled import Size, classify, size_of
from locat.tasks.segmentation.views import look
from locat.weights.initial import describe


def segment(config: SegmentConfig, job: JobFolder) -> None:
    """Train and evaluate; leave the model (see `saved`), metrics.json, tables and figures."""
    run_training(lambda ranks: Segment(config, job, ranks), config, job)


class Segment(Task):
    """The loss of the upsampled logits; mIoU, aAcc and mAcc of one confusion matrix, in percent.

    What is trained is the head, or with `backbone_lr` a `Segmenter`. metrics.json has what the last evaluation found,
    and under `best` the one with the largest mIoU.
    """

    def __init__(self, config: SegmentConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        check_masks(config.data)
        refuse_one_image(config, ranks)
        backbone, self.backbone_name = open_backbone(config, job, ranks)
        self.statistics = statistics_for(backbone, self.backbone_name, config.protocol)
        self.train_loader, self.val_loader = open_mask_loaders(config, ranks, self.statistics)
        self.classes = self.train_loader.contents.mask_classes
        self.loss_of = SegmentationLoss(config, self.classes, ranks.device)
        self.blocks = blocks_read(config.head, backbone)
        self.backbone = backbone
        if config.backbone_lr:
            train_what_is_read(backbone, self.blocks)
            self.model: nn.Module = Segmenter(
                backbone, self._new_head(), self.blocks, config.backbone_lr / config.optimizer.lr
            )
        else:
            backbone.eval().requires_grad_(False).to(ranks.device)
            if config.compile:
                compile_blocks(backbone)
            self.model = self._new_head()
        self.best: Best = Best("miou")
        self.total_steps = config.iterations
        self.evaluate_every = config.evaluate_iterations or config.iterations

    def begin(self) -> None:
        """Take up the head of what a `segment` job has left, where that is the same; its backbone is loaded already."""
        init = self.config.model.init if self.config.model else None
        if init is None:
            return
        head = self.model.head if isinstance(self.model, Segmenter) else self.model
        if self.ranks.from_main(self.ranks.is_main and take_head(head, init, self.classes)):
            for tensor in head.state_dict().values():
                dist.broadcast(tensor, 0)

    def learning_rate(self, step: int) -> float:
        return one_cycle(step, total=self.total_steps, peak=self.config.optimizer.lr)

    def loss(self, models: Models, batch: Batch, position: Position) -> Tensor:
        return self.loss_of(*self._logits(models.trained, batch.image), batch.target)

    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        confusion = Confusion(len(self.classes), self.ranks.device)
        for batch, _ in interruptible(self.val_loader.batches()):
            predictions = self._predict(models.exported, batch.image, size_of(batch.target))
            if len(batch):
                confusion.add(predictions, batch.target)
        self.confusion = confusion.reduce()
        return {name: 100 * value for name, value in segmentation_scores(self.confusion).items()}

    def export(self, weights: dict[str, Tensor], metrics: dict[str, float]) -> None:
        model = self._save(weights).to(self.ranks.device).eval()
        pictures = []
        with torch.no_grad(), autocast(self.config.precision, self.ranks.device):
            for image, batch in self.val_loader.examples(PICTURED):
                prediction = self._predict(model, batch.image, size_of(batch.target))
                pictures.append(Picture(*(part.cpu().numpy() for part in (image, batch.target[0], prediction[0]))))
        how = ", ".join((self.config.protocol, self.config.variant))
        title = f"{self.backbone_name}: mIoU {metrics['miou']:.1f} % ({how})"
        write_report(self.job, title, self.classes, self.confusion.cpu(), pictures)
        self.best.tell(metrics, "last")
        write_results(
            self.job, self.config, self.backbone_name, self.train_loader.contents, metrics, best=self.best.found
        )

    def _new_head(self) -> nn.Module:
        return new_head(self.config.head, self.backbone, self.blocks, self.config.hidden_dim, len(self.classes))

    def _save(self, weights: dict[str, Tensor]) -> nn.Module:
        """Write the model into outputs/; what `weights` are of, on the CPU and not wrapped."""
        described = Described(
            head=self.config.head,
            hidden_dim=self.config.hidden_dim,
            classes=self.classes,
            mean=self.statistics.mean,
            std=self.statistics.std,
            protocol=self.config.protocol,
            resize=self._resize(),
            evaluation=self.config.evaluation,
            brightness={key: value for key, value in self.train_loader.contents.options.items() if key in KEYS},
        )
        backbone, head, model = self.backbone, weights, self._new_head()
        if self.config.backbone_lr:
            backbone = new_backbone(self.config)
            expected = resolve_data_config(model=self.backbone)
            describe(backbone, {"mean": expected["mean"], "std": expected["std"]})
            model = Segmenter(backbone, model, self.blocks)
            head = {name.removeprefix("head."): value for name, value in weights.items() if name.startswith("head.")}
        model.load_state_dict(weights)
        save_segmenter(self.job.outputs, backbone, head, described, **model_arguments(self.config))
        return model

    def _resize(self) -> tuple[int, int] | None:
        """Into which evaluation images are brought, or have been by `convert`."""
        if isinstance(self.config.augment, SegmentationAugmentation):
            return self.config.augment.resize
        stored = self.val_loader.contents.image_size
        return (stored, stored) if stored else None

    def _predict(self, model: nn.Module, images: Tensor, size: Size) -> Tensor:
        """Classes of the pixels of each image at its original `size`, uint8 (n, *size); of a blank one if n is 0."""
        images = at_least_one(images)
        shown = size_of(images)
        if self.config.evaluation.called:
            found = look(partial(self._logits, model), images, self.config.evaluation)
            return classify(found, shown, shown, size)
        logits, extent = self._logits(model, images)
        return classify(logits, extent, shown, size)

    def _logits(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Size]:
        """Logits of the patches of images (n, 3, H, W), and the size that they are taken to cover.

        Images are uint8, or normalised already. `model` is of the form of `self.model`.
        """
        if not images.is_floating_point():
            images = normalize(images, *self.statistics)
        if self.config.backbone_lr:
            logits = model(images)
        else:
            with torch.no_grad():
                maps = patch_maps(self.backbone, images, self.blocks)
            logits = model(*maps)
        return logits, covered(self.backbone, size_of(images), self.config.protocol, self.blocks[0])


def refuse_one_image(config: SegmentConfig, ranks: Ranks) -> None:
    """Raise ConfigError where UPerNet's pool of a whole image would leave batch norm one number per channel."""
    if config.head.name == "upernet" and micro_batch_size(config, ranks) < 2:
        raise ConfigError(
            "head: upernet normalises over the images of a forward pass, and there is one; choose a batch_size and "
            "micro_batch_size that leave two at least for each rank"
        )
