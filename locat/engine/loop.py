"""The training loop: a task says what a step and an evaluation are, the loop does the rest."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from locat.config import TrainingConfig
from locat.data.loader import Batch
from locat.engine.checkpoint import Checkpoints, Position
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.metric_log import MetricLog
from locat.engine.progress import Progress
from locat.engine.signals import Preempted, StopRequest
from locat.engine.strategies import make_strategy, micro_batch_size
from locat.engine.throughput import Throughput
from locat.engine.tracking import tracked
from locat.job_folder import JobFolder

logger = logging.getLogger(__name__)


class Models(NamedTuple):
    """The wrapped models, called like the plain ones."""

    trained: nn.Module
    shadow: nn.Module | None = None
    """The copy that follows `trained`: in eval mode always, never differentiated."""

    @property
    def exported(self) -> nn.Module:
        """What is evaluated and left behind: the shadow where there is one."""
        return self.trained if self.shadow is None else self.shadow


class Task(ABC):
    """What is trained, on what, and how well it does.

    Updates are numbered from 0; `step` is the update's number everywhere.
    """

    model: nn.Module
    """What the strategy trains; frozen parts stay outside of it."""
    shadow: nn.Module | None = None
    """A copy of `model` that follows it by `shadow_momentum` (averaged weights, DINO's teacher)."""
    total_steps: int
    evaluate_every: int
    """Updates between two evaluations; there is one at the end as well."""

    @abstractmethod
    def batches(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        """Training batches from `position` to the end, each with the position after it."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Learning rate of an update."""

    def weight_decay(self, step: int) -> float | None:
        """Weight decay of an update; None for the config's."""
        return None

    def shadow_momentum(self, step: int) -> float:
        """m of shadow = m * shadow + (1 - m) * model, which follows an update; of tasks with a shadow."""
        raise NotImplementedError

    def is_frozen(self, name: str, step: int) -> bool:
        """Whether an update leaves the parameter of `model` called `name` as it is."""
        return False

    @abstractmethod
    def loss(self, models: Models, batch: Batch, position: Position) -> torch.Tensor:
        """Mean loss of a micro-batch of this rank, under autocast; `position` is that of its batch.

        It calls `models.trained` once.
        """

    def after_update(self, step: int) -> None:
        """What follows an update, once models and shadow have moved; every rank calls it."""
        return

    def state(self) -> Mapping[str, torch.Tensor]:
        """What a checkpoint must keep beside models and optimizer; the same on all ranks."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned, on the rank's device."""
        return

    @abstractmethod
    def evaluate(self, models: Models) -> dict[str, float]:
        """Metrics over the whole evaluation set, under autocast; every rank calls it and gets the same."""

    @abstractmethod
    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        """Write the job's outputs, `metrics.json` last; `weights` are `Models.exported`'s. Main rank only."""


def run_training(make_task: Callable[[Ranks], Task], config: TrainingConfig, job: JobFolder) -> None:
    """Join the ranks, keep the MLflow run, train; nothing where the job is done already."""
    if job.results.exists():
        logger.info("%s exists: this job is done already", job.results)
        return
    with join_ranks() as ranks, tracked(job, config, ranks.is_main):
        torch.manual_seed(config.seed)
        task = make_task(ranks)
        torch.manual_seed(config.seed + ranks.rank)  # dropped paths must not be the same on all ranks
        train(task, config, job, ranks)


def train(task: Task, config: TrainingConfig, job: JobFolder, ranks: Ranks) -> None:
    """Train from the newest checkpoint, or the start, to the end; then export.

    Raises:
        Preempted: the job was asked to stop, and has saved a checkpoint.
        ConfigError: a rank's share of the batch cannot be cut into micro-batches.
    """
    stop = StopRequest()
    micro_batch = micro_batch_size(config, ranks)
    names = [name for name, _ in task.model.named_parameters()]
    strategy = make_strategy(config, ranks, task.model, task.shadow)
    models = Models(strategy.module, strategy.shadow)
    checkpoints = Checkpoints(job.checkpoints, config.checkpoints.keep, ranks, config.recorded())
    position, state = checkpoints.restore(strategy)
    if state:
        task.load_state(state)
    log = MetricLog(job.metrics) if ranks.is_main else None

    def loss_of(piece: Batch) -> torch.Tensor:
        return task.loss(models, piece, position)

    def evaluate() -> dict[str, float]:
        models.trained.eval()
        with torch.no_grad(), strategy.autocast():
            found = task.evaluate(models)
        models.trained.train()
        if log:
            log.append(position.step, {f"val/{name}": value for name, value in found.items()})
            logger.info("step %d: %s", position.step, ", ".join(f"{key} {value:.4f}" for key, value in found.items()))
        return found

    models.trained.train()
    throughput = Throughput()
    with Progress(job, "train", task.total_steps, "step", done=position.step, shown=ranks.is_main) as progress:
        for batch, after in throughput.watch(task.batches(position)):
            step = position.step
            strategy.set_rates(lr := task.learning_rate(step), task.weight_decay(step))
            loss = strategy.accumulate(loss_of, list(batch.split(micro_batch)))
            norm = strategy.update([name for name in names if task.is_frozen(name, step)])
            if strategy.shadow is not None:
                strategy.follow(task.shadow_momentum(step))
            task.after_update(step)
            position = after
            throughput.count(config.batch_size)
            if position.step % config.log_every == 0 or position.step == task.total_steps:
                values = {
                    "train/loss": ranks.mean(loss),
                    "train/lr": lr,
                    "train/grad_norm": norm.item(),
                    "train/epoch": position.epoch,
                    **throughput.metrics(),
                }
                if log:
                    log.append(position.step, values)
                throughput.restart()
            progress.advance_to(position.step)
            stopping = ranks.any(stop.received)
            if position.step % task.evaluate_every == 0 and position.step < task.total_steps and not stopping:
                evaluate()
                throughput.restart()
            if position.step % config.checkpoints.every_steps == 0 or position.step == task.total_steps or stopping:
                checkpoints.save(strategy, position, task.state())
                throughput.restart()
            if stopping:
                raise Preempted(f"asked to stop; checkpoint of step {position.step} saved")
    metrics = evaluate()
    weights = strategy.full_weights()
    if ranks.is_main:
        task.export(weights, metrics)
    ranks.barrier()
