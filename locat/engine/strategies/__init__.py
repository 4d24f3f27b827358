"""How one model is trained by many ranks: ddp, fsdp or deepspeed behind one small interface."""

from torch import nn

from locat.config import TrainingConfig
from locat.engine.blocks import compile_blocks, recompute_blocks
from locat.engine.distributed import Ranks
from locat.engine.strategies.base import FrozenUntil, Snapshot, Strategy, micro_batch_size, never_frozen

__all__ = ["Snapshot", "Strategy", "make_strategy", "micro_batch_size"]


def make_strategy(
    config: TrainingConfig,
    ranks: Ranks,
    model: nn.Module,
    shadow: nn.Module | None = None,
    frozen_until: FrozenUntil = never_frozen,
) -> Strategy:
    """Wrap `model` for training, and `shadow`, a copy of it, for following it."""
    for each in (model, shadow):
        if each is not None and config.compile:
            compile_blocks(each)
    if config.activation_checkpointing:
        recompute_blocks(model)
    if config.strategy.name == "deepspeed":
        from locat.engine.strategies.zero import Zero  # slow to import, and noisy

        return Zero(config, ranks, model, shadow, frozen_until)
    if config.strategy.name == "fsdp":
        from locat.engine.strategies.fsdp import FSDP

        return FSDP(config, ranks, model, shadow, frozen_until)
    from locat.engine.strategies.native import DDP

    return DDP(config, ranks, model, shadow, frozen_until)
