"""supervised: train a classifier (docs/method.md section 4)."""

import copy
from collections.abc import Callable, Mapping

import torch
from timm.data import resolve_data_config
from torch import nn
from torch.nn import functional as F

from locat.config import SupervisedConfig
from locat.config.augmentation import ImageNetAugmentation
from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.data.augment import ImageNetTransform, ShiftTransform, normalize
from locat.data.batch import Batch
from locat.data.position import START, Position
from locat.data.producer import BatchStream
from locat.data.views import CentreCrop, RandomResizedCrop, View, Whole
from locat.engine.best import Best
from locat.engine.distributed import Ranks
from locat.engine.freezing import Frozen
from locat.engine.loop import run_training
from locat.engine.schedules import learning_rate
from locat.engine.strategies import micro_batch_size
from locat.engine.task import Batches, Models, Task
from locat.models.attention_maps import cls_attends
from locat.models.create import create_model, evaluated_as, save_model, title
from locat.tasks.classification.accuracy import Accuracy
from locat.tasks.loaders import open_loaders
from locat.tasks.pictures import draw_attention, draw_inputs
from locat.tasks.results import write_results
from locat.weights.checkpoints import keep_statistics, kept_statistics
from locat.weights.initial import describe, initialise

BATCH_PICTURED = 32
"""Images in the figure of the first training batch."""


def supervised(config: SupervisedConfig, job: JobFolder) -> None:
    """Train and evaluate; leave model.safetensors, config.json, metrics.json and figures."""
    run_training(lambda ranks: Supervised(config, job, ranks), config, job)


class Supervised(Task):
    """Cross entropy with smoothed, mixed targets; accuracy in percent, of the averaged weights if there are.

    As the release prints it, metrics.json has what the best epoch found, and under `last` what the weights that are
    left have.
    """

    def __init__(self, config: SupervisedConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        refuse_odd_pairs(config, ranks)
        self.train_loader, self.val_loader = open_loaders(
            config,
            ranks,
            "label",
            train_views=(training_view(config),),
            val_views=(CentreCrop(config.image_size, config.crop_pct),),
        )
        self.first = ranks.rank * rank_batch_size(config.batch_size, ranks.world_size)
        """The place in a global batch of this rank's first sample."""
        self.classes = self.train_loader.contents.classes
        self.model = create_model(config.model)
        refuse_other_size(self.model, config.image_size)
        if self.model.num_classes != len(self.classes):
            raise ConfigError(
                f"model.args.num_classes: the model has {self.model.num_classes}, "
                f"{self.train_loader.path} has {len(self.classes)}"
            )
        self._normalise_for(self.model)
        self.shadow = copy.deepcopy(self.model) if config.ema_decay else None
        self.steps_per_epoch = self.train_loader.batches_per_epoch
        self.total_steps = config.epochs * self.steps_per_epoch
        self.evaluate_every = config.evaluate_epochs * self.steps_per_epoch
        self.frozen = Frozen(config.freeze, self.model, self.steps_per_epoch, self.total_steps)
        self.accuracy = Accuracy(len(self.classes), ranks.device)
        self.best: Best = Best("top1")

    def begin(self) -> None:
        initialise(self.model, self.config.model, self.job, self.ranks)
        self._normalise_for(self.model)
        if self.shadow is not None:
            self.shadow.load_state_dict(self.model.state_dict())

    def state(self) -> Mapping[str, torch.Tensor]:
        """What may have come with weights that are not loaded again."""
        return keep_statistics(self.mean, self.std)

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        if kept := kept_statistics(state):
            describe(self.model, kept)
            self._normalise_for(self.model)

    def batches(self, position: Position) -> BatchStream:
        if position.step == 0 and self.ranks.is_main:
            self._draw_first_batch()
        return super().batches(position)

    def learning_rate(self, step: int) -> float:
        return learning_rate(step, self.config, total=self.total_steps, steps_per_epoch=self.steps_per_epoch)

    def frozen_until(self, name: str) -> int:
        return self.frozen.until(name)

    def shadow_momentum(self, step: int) -> float:
        return self.config.ema_decay

    def loss(self, models: Models, batch: Batch, position: Position) -> torch.Tensor:
        images, targets = self._vary(batch, position)
        return F.cross_entropy(models.trained(images), targets)

    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        def classify(images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = models.exported(normalize(images, self.mean, self.std))
            return logits

        return self.accuracy.over(interruptible(self.val_loader.batches()), classify)

    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        model = create_model(self.config.model)
        model.load_state_dict(weights)
        model.eval()
        if self.config.model.init:
            describe(model, {"mean": self.mean, "std": self.std})
        about = evaluated_as(self.classes, self.config.image_size, self.config.crop_pct)
        save_model(model, self.job.outputs, about, **self.config.model.args)
        name = title(self.config.model)
        if cls_attends(model):
            path, heading = self.job.figures / "attention.png", f"{name}: attention of [CLS] in the last block"
            draw_attention(path, heading, model, self.val_loader, self.mean, self.std)
        self.best.tell(metrics, "best")
        write_results(self.job, self.config, name, self.train_loader.contents, self.best.found, last=metrics)

    def _normalise_for(self, model: nn.Module) -> None:
        """Have images normalised, and varied, as `model` expects them."""
        config, expected = self.config, resolve_data_config(model=model)
        self.mean, self.std = expected["mean"], expected["std"]
        shared = (len(self.classes), config.label_smoothing, self.mean, self.std, config.seed)
        self.transform = (
            ImageNetTransform(config.augment, *shared)
            if isinstance(config.augment, ImageNetAugmentation)
            else ShiftTransform(config.augment, *shared)
        )

    def _vary(self, batch: Batch, position: Position) -> tuple[torch.Tensor, torch.Tensor]:
        """What the model sees, float32 (n, 3, H, W), and what it should say, probabilities (n, classes)."""
        start = self.first + batch.start
        return self.transform(batch.image, batch.target, batch.index, position.epoch, position.batch, start)

    def _draw_first_batch(self) -> None:
        batch, _ = next(self.train_loader.batches())
        images, targets = self._vary(next(batch.split(BATCH_PICTURED)), START)
        captions = [self.classes[label] for label in targets.argmax(1).tolist()]
        title = "the first batch, as the model sees it"
        draw_inputs(self.job.figures / "batch.png", title, list(images), captions, self.mean, self.std)


def training_view(config: SupervisedConfig) -> View:
    """What is cut out of a training image."""
    augment = config.augment
    if isinstance(augment, ImageNetAugmentation):
        return RandomResizedCrop(
            config.image_size,
            augment.crop_scale,
            flip=augment.flip,
            interpolation=augment.interpolation,
            decode=augment.decode,
        )
    return Whole()


def refuse_odd_pairs(config: SupervisedConfig, ranks: Ranks) -> None:
    """Raise ConfigError where mixup would have to mix images of different micro-batches."""
    augment, size = config.augment, micro_batch_size(config, ranks)
    if isinstance(augment, ImageNetAugmentation) and (augment.mixup or augment.cutmix) and size % 2:
        raise ConfigError(
            f"augment: mixup and cutmix pair images, and {size} in a forward pass is odd; "
            "choose an even micro_batch_size, or set both to 0"
        )


def refuse_other_size(model: nn.Module, image_size: int) -> None:
    """Raise ConfigError where `model` was built for images of another size, and takes no other."""
    patches = getattr(model, "patch_embed", None)
    built = getattr(patches, "img_size", None)
    if built is not None and getattr(patches, "strict_img_size", True) and tuple(built) != (image_size, image_size):
        raise ConfigError(
            f"image_size {image_size}: the model was built for {' x '.join(map(str, built))} pixels; "
            f"set model.args.img_size: {image_size}, or image_size: {built[0]}"
        )
