"""What a task says of itself; locat/engine/loop.py does the rest."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from locat.data.batch import Batch
from locat.data.position import Position
from locat.data.producer import BatchStream
from locat.data.reader import Reader
from locat.engine.best import Best

Batches = Iterator[tuple[Batch, Position]]


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
    train_loader: Reader
    """Of the training set."""
    total_steps: int
    evaluate_every: int
    """Updates between two evaluations; there is one at the end as well."""
    best: Best | None = None
    """Sees every evaluation, whatever restarts come between; of tasks that report their best one."""

    def begin(self) -> None:
        """Give `model`, and `shadow`, the weights to begin with, on all ranks alike; they are not wrapped yet.

        Called only where no checkpoint is resumed, which has weights of its own.
        """
        return

    def batches(self, position: Position) -> BatchStream:
        """Training batches from `position` on, without end, each with the position after it."""
        return self.train_loader.stream(position)

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Learning rate of an update."""

    def weight_decay(self, step: int) -> float | None:
        """Weight decay of an update; None for the config's."""
        return None

    def shadow_momentum(self, step: int) -> float:
        """m of shadow = m * shadow + (1 - m) * model, which follows an update; of tasks with a shadow."""
        raise NotImplementedError

    def frozen_until(self, name: str) -> int:
        """How many updates, the first ones, leave the parameter of `model` called `name` as it is."""
        return 0

    @abstractmethod
    def loss(self, models: Models, batch: Batch, position: Position) -> torch.Tensor:
        """Mean loss of a micro-batch of this rank, under autocast; `position` is that of its batch.

        It calls `models.trained` once.
        """

    def after_update(self, step: int, dropped: torch.Tensor) -> None:
        """What follows an update, once models and shadow have moved; every rank calls it.

        `dropped` is 1 if they have not, because loss or gradients were not finite; then nothing else may move either.
        """
        return

    def state(self) -> Mapping[str, torch.Tensor]:
        """What a checkpoint must keep beside models and optimizer; the same on all ranks."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned, on the rank's device."""
        return

    @abstractmethod
    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        """Metrics over the whole evaluation set, under autocast; every rank calls it and gets the same.

        It goes through its batches, of which all ranks have as many, by way of `interruptible`.
        """

    @abstractmethod
    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        """Write the job's outputs into their folder, which is there, `metrics.json` last. Main rank only.

        `weights` are those of `Models.exported`.
        """
