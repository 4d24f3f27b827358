"""What the training loop asks of a strategy; the loop knows no other word of parallelism."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from locat.engine.distributed import Ranks

ParamGroups = list[dict[str, Any]]
MakeOptimizer = Callable[[ParamGroups], torch.optim.Optimizer]


class Strategy(ABC):
    """One model, trained by all ranks together.

    `module` is called like the plain model. `update` is one optimizer step. Gradients are
    averaged over ranks, so the loss of each rank is the mean over its own images.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, ranks: Ranks, clip_grad: float) -> None:
        self.ranks = ranks
        self.clip_grad = clip_grad

    def set_lr(self, lr: float) -> None:
        """Use `lr` for every parameter group from the next update on."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    @abstractmethod
    def update(self, loss: torch.Tensor) -> torch.Tensor:
        """Differentiate `loss`, clip, step, clear gradients; the global gradient norm before clipping."""

    @abstractmethod
    def full_weights(self) -> dict[str, torch.Tensor]:
        """The model's whole state dict on the CPU; complete on the main rank. Every rank must call it."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and optimizer state below `folder`. Every rank must call it."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Take up what `save` wrote. Every rank must call it."""


def decayed_groups(model: nn.Module, weight_decay: float) -> ParamGroups:
    """Two parameter groups: matrices, which decay, and biases, norms and what the model exempts."""
    exempt: Iterable[str] = getattr(model, "no_weight_decay", tuple)()
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim <= 1 or name in exempt else decayed).append(parameter)
    groups: ParamGroups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
