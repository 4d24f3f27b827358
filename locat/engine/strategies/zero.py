"""DeepSpeed's ZeRO, stages 1 to 3."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # read at import
import deepspeed
from deepspeed.utils import logger as deepspeed_logger

from locat.config import TrainingConfig
from locat.contract.errors import ConfigError
from locat.engine.distributed import Ranks
from locat.engine.guards.nonfinite import spoil_if_not_finite
from locat.engine.precision import DTYPES
from locat.engine.strategies.base import FrozenUntil, Piece, Snapshot, Strategy, micro_batch_size
from locat.engine.strategies.optimizers import make_optimizer, zero
from locat.engine.strategies.reshard import load_resharded
from locat.engine.strategies.zero_reading import AsData
from locat.engine.strategies.zero_snapshot import host_copy, snapshot, write

TAG, SHADOW = "zero", "shadow.pt"
"""In a checkpoint: the folder of DeepSpeed's files, and the shadow's weights."""
MAX_BUCKET = 500_000_000
"""Gradients that travel at once; DeepSpeed's own default."""


class Zero(Strategy):
    """Training by DeepSpeed's engine.

    It keeps gradients in flat pieces of its own, so what treats them one by one is refused. By itself it leaves out an
    update whose gradients are not finite, and asks the device about it at every step.

    Raises:
        ConfigError: the config asks for what DeepSpeed cannot do soundly.
    """

    def __init__(
        self,
        config: TrainingConfig,
        ranks: Ranks,
        model: nn.Module,
        shadow: nn.Module | None,
        frozen_until: FrozenUntil,
    ) -> None:
        super().__init__(config, ranks, model, shadow)
        refuse_unsound(config, shadow)
        deepspeed_logger.setLevel("WARNING")
        os.environ.setdefault("LOCAL_RANK", str(ranks.rank))
        self.step = 0
        """The update that was begun."""
        for name, parameter in model.named_parameters():
            if until := frozen_until(name):
                parameter.register_hook(partial(self._gradient, until))
        self.engine, self.optimizer, *_ = deepspeed.initialize(
            model=model,
            optimizer=make_optimizer(config.optimizer, model, frozen_until),
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
                loss = spoil_if_not_finite(loss_of(piece))
            total += self.engine.backward(loss).detach()  # which divides by the number of pieces
        return total

    def freeze(self, step: int) -> None:
        self.step = step
        for group in self.optimizer.param_groups:
            if step < group["frozen_until"]:
                group["lr"] = 0.0

    def update(self) -> torch.Tensor:
        self.optimizer.optimizer.found_inf = self.guard.closed.float()  # type: ignore[attr-defined]
        self.engine.step()
        for state in self._frozen_states():
            zero(state)  # which counts updates all the same
        norm = torch.as_tensor(self.engine.get_global_grad_norm(), device=self.ranks.device)
        self.guard.judge(norm, norm.isfinite())
        return norm

    def _gradient(self, until: int, gradient: torch.Tensor) -> torch.Tensor:
        """What the engine sees of the gradient of a parameter that is frozen until then."""
        return torch.zeros_like(gradient) if self.step < until else gradient

    def _frozen_states(self) -> Iterator[dict[str, Any]]:
        """The optimizer's state of each flat piece that the update which was begun leaves as it is."""
        if self.engine.zero_optimization_stage() == 3:
            flats = self.optimizer.fp32_partitioned_groups_flat  # type: ignore[attr-defined]
            owners = self.optimizer.sub_group_to_group_id  # type: ignore[attr-defined]
        else:
            flats = self.optimizer.single_partition_of_fp32_groups  # type: ignore[attr-defined]
            owners = range(len(flats))
        inner = self.optimizer.optimizer  # type: ignore[attr-defined]
        for number, flat in enumerate(flats):
            if self.step < inner.param_groups[owners[number]]["frozen_until"] and flat in inner.state:
                yield inner.state[flat]

    def full_weights(self) -> dict[str, torch.Tensor]:
        model = self.engine.module if self.shadow is None else self.shadow
        with deepspeed.zero.GatheredParameters(list(self.engine.module.parameters())):
            return {name: host_copy(tensor, {}) for name, tensor in model.state_dict().items()}

    def snapshot(self) -> Snapshot:
        held = snapshot(self.engine, TAG)
        if self.shadow is not None and self.ranks.is_main:
            held.append((Path(SHADOW), host_copy(self.shadow.state_dict(), {})))
        return lambda folder, group: write(held, folder)

    def load(self, folder: Path, world_size: int) -> None:
        groups = [{**group, "params": None} for group in self.optimizer.param_groups]
        if world_size == self.ranks.world_size:
            self.engine.checkpoint_engine = AsData()
            loaded, _ = self.engine.load_checkpoint(str(folder), tag=TAG)
            assert loaded is not None, f"DeepSpeed finds nothing in {folder}"
        else:
            load_resharded(self.engine, folder / TAG)
        for group, own in zip(self.optimizer.param_groups, groups, strict=True):
            group.update({**own, "params": group["params"]})  # the config's: an older version says less of them
        if self.shadow is not None:
            weights = torch.load(folder / SHADOW, map_location=self.ranks.device, weights_only=True)
            self.shadow.load_state_dict(weights)


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
            "lower_precision_safe_modules": [],  # what is gathered in bf16 has its gradients summed in bf16 too
        },
    }
