"""linear: one linear layer on a frozen backbone's features (docs/method.md section 4)."""

from collections.abc import Callable

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from locat.config import LinearConfig
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.data.batch import Batch
from locat.data.position import Position
from locat.data.views import CentreCrop, RandomResizedCrop
from locat.engine.best import Best
from locat.engine.distributed import Ranks
from locat.engine.loop import run_training
from locat.engine.schedules import cosine
from locat.engine.task import Batches, Models, Task
from locat.tasks.backbone import open_backbone
from locat.tasks.classification.accuracy import Accuracy
from locat.tasks.classification.frozen import FrozenBackbone
from locat.tasks.loaders import open_loaders
from locat.tasks.results import write_results


def linear(config: LinearConfig, job: JobFolder) -> None:
    """Train and evaluate the layer; leave head.safetensors (weight, bias) and metrics.json."""
    run_training(lambda ranks: Linear(config, job, ranks), config, job)


class Linear(Task):
    """Cross entropy; accuracy in percent, in metrics.json of the best epoch, as DINO's code prints it."""

    def __init__(self, config: LinearConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        self.train_loader, self.val_loader = open_loaders(
            config,
            ranks,
            "label",
            train_views=(training_view(config),),
            val_views=(CentreCrop(config.image_size, config.crop_pct),),
        )
        self.steps_per_epoch = self.train_loader.batches_per_epoch
        self.total_steps = config.epochs * self.steps_per_epoch
        self.evaluate_every = config.evaluate_epochs * self.steps_per_epoch
        self.backbone = FrozenBackbone(
            *open_backbone(config, job, ranks), config.image_size, ranks.device, config.called
        )
        classes = len(self.train_loader.contents.classes)
        self.model = nn.Linear(self.backbone.dim, classes)
        nn.init.normal_(self.model.weight, std=0.01)
        nn.init.zeros_(self.model.bias)
        self.accuracy = Accuracy(classes, ranks.device)
        self.best: Best = Best("top1")

    def learning_rate(self, step: int) -> float:
        """The same for a whole epoch, as in DINO's own evaluation."""
        epoch = step // self.steps_per_epoch
        return cosine(epoch, total=self.config.epochs, start=self.config.optimizer.lr, end=0.0)

    def loss(self, models: Models, batch: Batch, position: Position) -> torch.Tensor:
        return F.cross_entropy(models.trained(self.backbone.features(batch.image)), batch.target)

    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        def classify(images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = models.exported(self.backbone.features(images))
            return logits

        return self.accuracy.over(interruptible(self.val_loader.batches()), classify)

    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        with Fence.here().replacing(self.job.outputs / "head.safetensors") as file:
            save_file(weights, file)
        self.best.tell(metrics, "best")
        write_results(
            self.job, self.config, self.backbone.name, self.train_loader.contents, self.best.found, last=metrics
        )


def training_view(config: LinearConfig) -> RandomResizedCrop:
    """What is cut out of a training image."""
    return RandomResizedCrop(
        config.image_size, config.crop_scale, flip=config.flip, interpolation="bilinear", decode=config.decode
    )
