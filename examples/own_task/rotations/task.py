"""What the task does; strategy, checkpoints, preemption, metrics and MLflow are the training loop's."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch.nn import functional as F

from locat.contract.job_folder import JobFolder
from locat.data.augment import normalize
from locat.data.batch import Batch
from locat.data.position import Position
from locat.engine.distributed import Ranks
from locat.engine.loop import run_training
from locat.engine.schedules import cosine
from locat.engine.task import Batches, Models, Task
from locat.models.create import create_model, save_model, title
from locat.tasks.loaders import at_least_one, open_loaders
from locat.tasks.results import write_results
from rotations.config import TURNS, RotationsConfig

HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation that the model expects of each channel."""


def rotations(config: RotationsConfig, job: JobFolder) -> None:
    """Train and evaluate; leave model.safetensors, config.json and metrics.json."""
    run_training(lambda ranks: Rotations(config, job, ranks), config, job)


class Rotations(Task):
    """Cross entropy over the number of quarter turns; the share told right, in percent."""

    def __init__(self, config: RotationsConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        self.train_loader, self.val_loader = open_loaders(config, ranks, "label")
        self.named = config.model.with_args({**config.model.args, "num_classes": TURNS})
        self.model = create_model(self.named)
        self.total_steps = self.evaluate_every = config.epochs * self.train_loader.batches_per_epoch

    def learning_rate(self, step: int) -> float:
        return cosine(step, total=self.total_steps, start=self.config.optimizer.lr, end=0.0)

    def loss(self, models: Models, batch: Batch, position: Position) -> torch.Tensor:
        images, turns = rotated(batch.image)
        return F.cross_entropy(models.trained(images), turns)

    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        counts = torch.zeros(2, device=self.ranks.device)
        for batch, _ in interruptible(self.val_loader.batches()):
            images, turns = rotated(at_least_one(batch.image))
            right = models.exported(images).argmax(1) == turns
            if len(batch):
                counts += torch.stack([right.sum(), torch.tensor(len(turns), device=right.device)])
        dist.all_reduce(counts)
        return {"rotation": 100 * (counts[0] / counts[1]).item()}

    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        model = create_model(self.named)
        model.load_state_dict(weights)
        save_model(model, self.job.outputs, **self.named.args)
        write_results(self.job, self.config, title(self.named), self.train_loader.contents, metrics)


def rotated(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images (n, 3, H, H) in all rotations, float32 (4n, 3, H, H), and the number of quarter turns, (4n,)."""
    turned = torch.cat([images.rot90(turns, (2, 3)) for turns in range(TURNS)])
    turns = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
    return normalize(turned, HALF, HALF), turns
