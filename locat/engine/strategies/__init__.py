"""How one model is trained by many ranks: ddp, fsdp or deepspeed behind one small interface."""

from torch import nn
from torch.optim import AdamW

from locat.config import Optimizer
from locat.config import Strategy as StrategyConfig
from locat.engine.distributed import Ranks
from locat.engine.strategies.base import ParamGroups, Strategy

__all__ = ["Strategy", "make_strategy"]


def make_strategy(
    config: StrategyConfig, model: nn.Module, optimizer: Optimizer, ranks: Ranks, batch_size: int
) -> Strategy:
    """Wrap `model` for training with AdamW; `batch_size` counts the images of all ranks."""

    def adamw(groups: ParamGroups) -> AdamW:
        return AdamW(groups, lr=optimizer.lr, betas=optimizer.betas)

    if config.name == "deepspeed":
        from locat.engine.strategies.zero import Zero  # slow to import, and noisy

        images_a_rank = batch_size // ranks.world_size
        return Zero(model, adamw, optimizer.weight_decay, optimizer.clip_grad, ranks, config.zero_stage, images_a_rank)
    from locat.engine.strategies.native import DDP, FSDP

    native = DDP if config.name == "ddp" else FSDP
    return native(model, adamw, optimizer.weight_decay, optimizer.clip_grad, ranks)
