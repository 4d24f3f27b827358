"""What the training loop asks of a strategy; the loop knows no other word of parallelism."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from locat.config import TrainingConfig
from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError
from locat.engine.distributed import Ranks
from locat.engine.guards.nonfinite import Guard
from locat.engine.precision import autocast

Piece = TypeVar("Piece")

Snapshot = Callable[[Path, dist.ProcessGroup], None]
"""Writes a copy of the training state below a folder, in any thread, with a process group that only it uses."""

FrozenUntil = Callable[[str], int]
"""Of a parameter by name: how many updates, the first ones, leave it as it is."""


def never_frozen(name: str) -> int:
    """Of a model all of which is trained from the start."""
    return 0


SCALE_HALVINGS = 24
"""Updates in a row that a loss scaler may drop until its scale is small enough; of more it is not the cause."""


class Strategy(ABC):
    """One model, and perhaps a shadow that follows it, trained by all ranks together.

    `module` is called like the plain model, under `autocast`, `shadow` too, but never differentiated. One update is
    `begin`, `accumulate`, `update`, and `follow` where there is a shadow. Gradients are averaged over ranks,
    so the loss of each rank is the mean over its own images.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, config: TrainingConfig, ranks: Ranks, model: nn.Module, shadow: nn.Module | None) -> None:
        self.config, self.ranks = config, ranks
        tolerated = SCALE_HALVINGS if config.precision == "fp16" else 0
        self.guard = Guard(model.to(ranks.device), config.skip_nonfinite, tolerated, ranks.device)
        self.shadow = shadow.to(ranks.device).eval().requires_grad_(False) if shadow is not None else None

    def autocast(self) -> torch.autocast:
        """The precision in which the models compute."""
        return autocast(self.config.precision, self.ranks.device)

    def begin(self, step: int, lr: float, weight_decay: float | None = None) -> None:
        """Update number `step` uses `lr`, and `weight_decay` for what decays; None leaves that as it is."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
            if weight_decay is not None and group["decays"]:
                group["weight_decay"] = weight_decay
        self.freeze(step)

    @abstractmethod
    def freeze(self, step: int) -> None:
        """Have update number `step` leave what is frozen until later as it is, with its optimizer state.

        Its gradients do not count for the norm.
        """

    @abstractmethod
    def accumulate(self, loss_of: Callable[[Piece], torch.Tensor], pieces: Sequence[Piece]) -> torch.Tensor:
        """Differentiate the mean of the losses of `pieces`, equal parts of this rank's batch; that mean.

        One piece is in memory at a time; the ranks' gradients are averaged once, after the last one.
        """

    @abstractmethod
    def update(self) -> torch.Tensor:
        """Clip, step, clear gradients; the norm of all gradients before clipping.

        All parameters stay as they are where `guard` finds that the gradients are not finite.
        """

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """shadow = momentum * shadow + (1 - momentum) * model, on every rank's own shards; not of a dropped update."""
        assert self.shadow is not None
        mine = [*self.shadow.parameters(), *self.shadow.buffers()]
        theirs = [*self.module.parameters(), *self.module.buffers()]
        pairs = [(local(one), local(other)) for one, other in zip(mine, theirs, strict=True)]
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        weight = (1 - momentum) * (1 - self.guard.dropping)
        torch._foreach_lerp_([one for one, _ in floating], [other for _, other in floating], [weight] * len(floating))
        for one, other in pairs:
            if not one.is_floating_point():
                one.copy_(other)

    @abstractmethod
    def full_weights(self) -> dict[str, torch.Tensor]:
        """Whole state dict of the shadow where there is one, else of the model; on the CPU, complete on the main rank.

        Every rank must call it.
        """

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Copy weights and optimizer state to host memory; every rank must call it, and then what it returns.

        The copy is valid until the next one.
        """

    @abstractmethod
    def load(self, folder: Path, world_size: int) -> None:
        """Take up what a snapshot of `world_size` ranks wrote. Every rank must call it."""


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's part of a tensor, for use in place."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def micro_batch_size(config: TrainingConfig, ranks: Ranks) -> int:
    """Images of one forward pass of one rank.

    Raises:
        ConfigError: the ranks cannot share the batch, or these do not divide the rank's share of it.
    """
    share = rank_batch_size(config.batch_size, ranks.world_size)
    size = config.micro_batch_size or share
    if share % size:
        raise ConfigError(
            f"micro_batch_size {size} does not divide the {share} images that each of {ranks.world_size} ranks takes "
            f"of batch_size {config.batch_size}; use a divisor of {share}"
        )
    return size
