"""The training loop: a task says what a step and an evaluation are, the loop does the rest."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import nn

from locat.config import TrainingConfig
from locat.data.loader import Batch
from locat.engine.checkpoint import Checkpoints, Position
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.metric_log import MetricLog
from locat.engine.progress import Progress
from locat.engine.signals import Preempted, StopRequest
from locat.engine.strategies import make_strategy
from locat.engine.tracking import tracked
from locat.job_folder import JobFolder

logger = logging.getLogger(__name__)


class Task(ABC):
    """What is trained, on what, and how well it does."""

    model: nn.Module
    """What the strategy trains; frozen parts stay outside of it."""
    total_steps: int
    evaluate_every: int
    """Optimizer steps between two evaluations; there is one at the end as well."""

    @abstractmethod
    def batches(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        """Training batches from `position` to the end, each with the position after it."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Learning rate of update number `step`, counted from 0."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Batch, position: Position) -> torch.Tensor:
        """Mean loss of this rank's images; `module` is the wrapped `model`, `position` the batch's own."""

    @abstractmethod
    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Metrics over the whole evaluation set; every rank calls it and gets the same."""

    @abstractmethod
    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        """Write the job's outputs, `metrics.json` last; main rank only."""


def run_training(make_task: Callable[[Ranks], Task], config: TrainingConfig, job: JobFolder) -> None:
    """Join the ranks, keep the MLflow run, train; nothing where the job is done already."""
    if job.results.exists():
        logger.info("%s exists: this job is done already", job.results)
        return
    with join_ranks() as ranks, tracked(job, config, ranks.is_main):
        torch.manual_seed(config.seed)
        train(make_task(ranks), config, job, ranks)


def train(task: Task, config: TrainingConfig, job: JobFolder, ranks: Ranks) -> None:
    """Train from the newest checkpoint, or the start, to the end; then export.

    Raises:
        Preempted: the job was asked to stop, and has saved a checkpoint.
    """
    stop = StopRequest()
    checkpoints = Checkpoints(job.checkpoints, config.checkpoints.keep, ranks, config.recorded())
    strategy = make_strategy(config.strategy, task.model, config.optimizer, ranks, config.batch_size)
    position = checkpoints.restore(strategy)
    log = MetricLog(job.metrics) if ranks.is_main else None

    def evaluate() -> dict[str, float]:
        strategy.module.eval()
        with torch.no_grad():
            found = task.evaluate(strategy.module)
        strategy.module.train()
        if log:
            log.append(position.step, {f"val/{name}": value for name, value in found.items()})
            logger.info("step %d: %s", position.step, ", ".join(f"{key} {value:.4f}" for key, value in found.items()))
        return found

    strategy.module.train()
    with Progress(job, "train", task.total_steps, "step", done=position.step, shown=ranks.is_main) as progress:
        since, images = time.perf_counter(), 0
        for batch, after in task.batches(position):
            strategy.set_lr(lr := task.learning_rate(position.step))
            loss = task.loss(strategy.module, batch, position)
            norm = strategy.update(loss)
            position = after
            images += config.batch_size
            if position.step % config.log_every == 0 or position.step == task.total_steps:
                mean_loss = ranks.mean(loss)
                now = time.perf_counter()
                if log:
                    values = {
                        "train/loss": mean_loss,
                        "train/lr": lr,
                        "train/grad_norm": norm.item(),
                        "train/epoch": position.epoch,
                        "throughput/images_per_second": images / (now - since),
                    }
                    log.append(position.step, values)
                since, images = now, 0
            progress.advance_to(position.step)
            stopping = ranks.any(stop.received)
            if position.step % task.evaluate_every == 0 and position.step < task.total_steps and not stopping:
                evaluate()
                since, images = time.perf_counter(), 0
            if position.step % config.checkpoints.every_steps == 0 or position.step == task.total_steps or stopping:
                checkpoints.save(strategy, position)
                since, images = time.perf_counter(), 0
            if stopping:
                raise Preempted(f"asked to stop; checkpoint of step {position.step} saved")
    metrics = evaluate()
    weights = strategy.full_weights()
    if ranks.is_main:
        task.export(weights, metrics)
    ranks.barrier()
