"""supervised: train a classifier (method.md section 4)."""

from collections.abc import Iterator

import torch
from timm.data import resolve_data_config
from torch import nn
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from locat import durable
from locat.config import SupervisedConfig
from locat.data.augment import normalize, random_shift
from locat.data.loader import Batch
from locat.engine.checkpoint import Position
from locat.engine.distributed import Ranks
from locat.engine.loop import Task, run_training
from locat.engine.schedules import triangular
from locat.errors import ConfigError
from locat.job_folder import JobFolder
from locat.models.attention_maps import attention_maps
from locat.models.create import create_model, save_model
from locat.tasks.figures import attention_figure, save
from locat.tasks.loaders import at_least_one, open_loaders, stream

PICTURED = 5
"""Validation images in the attention figure."""


def supervised(config: SupervisedConfig, job: JobFolder) -> None:
    """Train, evaluate after every epoch, leave model.safetensors, config.json, metrics.json and figures."""
    run_training(lambda ranks: Supervised(config, job, ranks), config, job)


class Supervised(Task):
    """Cross entropy with label smoothing; top-1 and top-5 in percent."""

    def __init__(self, config: SupervisedConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        self.train_loader, self.val_loader = open_loaders(config, ranks, "label")
        self.model = create_model(config.model)
        expected = resolve_data_config(model=self.model)
        self.mean, self.std = expected["mean"], expected["std"]
        self.evaluate_every = self.train_loader.batches_per_epoch
        self.total_steps = config.epochs * self.evaluate_every
        classes = len(self.train_loader.contents.classes)
        if self.model.num_classes != classes:
            raise ConfigError(
                f"model.args.num_classes: the model has {self.model.num_classes}, {config.data.train} has {classes}"
            )
        self.scores = MetricCollection(
            {f"top{k}": MulticlassAccuracy(classes, top_k=k, average="micro") for k in (1, 5)}
        ).to(ranks.device)

    def batches(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        return stream(self.train_loader, position, self.total_steps)

    def learning_rate(self, step: int) -> float:
        schedule, peak = self.config.schedule, self.config.optimizer.lr
        return triangular(
            step,
            total=self.total_steps,
            warmup=schedule.warmup_epochs * self.evaluate_every,
            start=schedule.min_lr,
            peak=peak,
            end=schedule.min_lr,
        )

    def loss(self, module: nn.Module, batch: Batch, position: Position) -> torch.Tensor:
        images = random_shift(
            batch.image, batch.index, seed=self.config.seed, epoch=position.epoch, pixels=self.config.augment.pixels
        )
        logits = module(normalize(images, self.mean, self.std))
        return F.cross_entropy(logits, batch.target, label_smoothing=self.config.label_smoothing)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        self.scores.reset()
        for batch, _ in self.val_loader.batches():
            logits = module(normalize(at_least_one(batch.image), self.mean, self.std))
            if len(batch):
                self.scores.update(logits, batch.target)
        return {name: 100 * score.item() for name, score in self.scores.compute().items()}

    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        model = create_model(self.config.model)
        model.load_state_dict(weights)
        model.eval()
        save_model(model, self.job.outputs, **self.config.model.args)
        batch, _ = next(self.val_loader.batches())
        images = batch.image[:PICTURED].cpu()
        figure = attention_figure(
            list(images.permute(0, 2, 3, 1).numpy()),
            [attention_maps(model, image).numpy() for image in normalize(images, self.mean, self.std)],
            f"{self.config.model.name}: attention of [CLS] in the last block",
        )
        save(figure, self.job.figures / "attention.png")
        results = {"task": self.config.task, "model": self.config.model.name, "metrics": metrics}
        durable.write_json(self.job.results, results)
