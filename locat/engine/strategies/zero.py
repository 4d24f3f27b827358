"""DeepSpeed's ZeRO, stages 1 to 3."""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # read at import
import deepspeed
from deepspeed.utils import logger as deepspeed_logger

from locat.config import TrainingConfig
from locat.engine.distributed import Ranks
from locat.engine.precision import DTYPES
from locat.engine.strategies.base import Piece, Strategy, micro_batch_size
from locat.engine.strategies.optimizers import make_optimizer
from locat.errors import ConfigError

MAX_BUCKET = 500_000_000
"""Gradients that travel at once; DeepSpeed's own default."""


class Zero(Strategy):
    """Training by DeepSpeed's engine; its checkpoints load with the same number of ranks only.

    It keeps gradients in flat pieces of its own, so what treats them one by one is refused.

    Raises:
        ConfigError: the config asks for what DeepSpeed cannot do soundly.
    """

    def __init__(self, config: TrainingConfig, ranks: Ranks, model: nn.Module, shadow: nn.Module | None) -> None:
        super().__init__(config, ranks, shadow)
        refuse_unsound(config, shadow)
        deepspeed_logger.setLevel("WARNING")
        os.environ.setdefault("LOCAL_RANK", str(ranks.rank))
        os.environ.setdefault("LOCAL_SIZE", str(ranks.world_size))
        model = model.to(ranks.device)
        self.engine, self.optimizer, *_ = deepspeed.initialize(
            model=model,
            optimizer=make_optimizer(config.optimizer, model),
            config=deepspeed_config(config, ranks, sum(weight.numel() for weight in model.parameters())),
            dist_init_required=False,
        )
        self.module = self.engine

    def accumulate(self, loss_of: Callable[[Piece], torch.Tensor], pieces: Sequence[Piece]) -> torch.Tensor:
        total = torch.zeros((), device=self.ranks.device)
        for number, piece in enumerate(pieces):
            if number:
                self.engine.step()  # between two pieces it only counts
            with self.autocast():
                loss = loss_of(piece)
            total += self.engine.backward(loss).detach()  # which divides by the number of pieces
        return total

    def update(self, frozen: Collection[str] = ()) -> torch.Tensor:
        if frozen:
            raise ConfigError("strategy: deepspeed cannot freeze a layer for a while, as DINO does; use ddp or fsdp")
        self.engine.step()
        return torch.as_tensor(self.engine.get_global_grad_norm(), device=self.ranks.device)

    def full_weights(self) -> dict[str, torch.Tensor]:
        model = self.engine.module if self.shadow is None else self.shadow
        with deepspeed.zero.GatheredParameters(list(self.engine.module.parameters())):
            return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}

    def save(self, folder: Path) -> None:
        self.engine.save_checkpoint(str(folder), tag="zero")
        if self.shadow is not None and self.ranks.is_main:
            torch.save(self.shadow.state_dict(), folder / "shadow.pt")

    def load(self, folder: Path) -> None:
        self.engine.load_checkpoint(str(folder), tag="zero")
        if self.shadow is not None:
            self.shadow.load_state_dict(
                torch.load(folder / "shadow.pt", map_location=self.ranks.device, weights_only=True)
            )


def refuse_unsound(config: TrainingConfig, shadow: nn.Module | None) -> None:
    """Raise ConfigError for what DeepSpeed would do otherwise than the other strategies, or not at all."""
    strategy = config.strategy
    if config.optimizer.clip == "tensor" and config.optimizer.clip_grad:
        raise ConfigError(
            "optimizer.clip: deepspeed clips by the norm of all gradients only; use global, or strategy ddp or fsdp"
        )
    if config.precision == "fp16":
        raise ConfigError("precision: fp16 is for strategies ddp and fsdp; with deepspeed use bf16")
    if config.compile and strategy.zero_stage == 3:
        raise ConfigError("compile: zero_stage 3 gathers weights inside of blocks; use zero_stage 1 or 2, or fsdp")
    if shadow is not None and strategy.zero_stage == 3:
        raise ConfigError(
            "strategy.zero_stage: 3 cannot shard an average of the weights along with them; use 1 or 2, or fsdp"
        )


def deepspeed_config(config: TrainingConfig, ranks: Ranks, parameters: int) -> dict[str, Any]:
    """The same training, of a model of so many `parameters`, in DeepSpeed's words."""
    strategy, size = config.strategy, micro_batch_size(config, ranks)
    # The bucket is allocated whole: gigabytes, by default.
    zero: dict[str, Any] = {"stage": strategy.zero_stage, "reduce_bucket_size": min(MAX_BUCKET, parameters)}
    if strategy.offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    if strategy.offload and strategy.zero_stage == 3:
        zero["offload_param"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": size,
        "gradient_accumulation_steps": config.batch_size // ranks.world_size // size,
        "gradient_clipping": config.optimizer.clip_grad,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,  # SGD
        "zero_force_ds_cpu_optimizer": False,  # torch's own fused one needs no compiler, and adds up alike
        "torch_autocast": {
            "enabled": config.precision != "fp32",
            "dtype": str(DTYPES[config.precision]).removeprefix("torch."),
            "lower_precision_safe_modules": [],  # gradients travel in float32, as with the other strategies
        },
    }
