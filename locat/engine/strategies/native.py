"""Training by torch alone, and the simplest way to do it: DDP, a whole model per rank."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.nn.parallel import DistributedDataParallel

from locat.config import TrainingConfig
from locat.engine.checkpoints import dcp_reading
from locat.engine.distributed import Ranks
from locat.engine.guards.nonfinite import spoil_if_not_finite
from locat.engine.strategies.base import FrozenUntil, Piece, Snapshot, Strategy
from locat.engine.strategies.clipping import clip_gradients
from locat.engine.strategies.optimizers import make_optimizer, start_state


class Native(Strategy):
    """Training by torch alone; checkpoints by DCP, which any number of ranks can load."""

    shards: dist.ProcessGroup | None = None
    """Ranks that hold a parameter together."""

    def __init__(
        self,
        config: TrainingConfig,
        ranks: Ranks,
        model: nn.Module,
        shadow: nn.Module | None,
        frozen_until: FrozenUntil,
    ) -> None:
        super().__init__(config, ranks, model, shadow)
        self.model = model  # state dicts are of it: DDP's names of shared parameters do not load
        self.module = self.wrap(self.model)
        self.optimizer = make_optimizer(config.optimizer, self.model, frozen_until)
        self.frozen: list[nn.Parameter] = []
        """By the update that was begun."""
        start_state(self.optimizer)
        cuda = ranks.device.type == "cuda"
        self.stager = DefaultStager(
            StagingOptions(
                use_pinned_memory=cuda, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=cuda
            )
        )
        self._finite = torch.ones((), device=ranks.device)  # whether the last loss was, on all ranks
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=config.precision == "fp16")

    @abstractmethod
    def wrap(self, model: nn.Module) -> nn.Module:
        """Make `model`, already on its device, one model over all ranks; the shadow in place, where it is sharded."""

    @abstractmethod
    def synchronised(self, wanted: bool) -> AbstractContextManager[None]:
        """Whether the ranks' gradients are averaged at the end of a backward pass inside."""

    def accumulate(self, loss_of: Callable[[Piece], torch.Tensor], pieces: Sequence[Piece]) -> torch.Tensor:
        total = torch.zeros((), device=self.ranks.device)
        for number, piece in enumerate(pieces, 1):
            with self.synchronised(number == len(pieces)):
                with self.autocast():
                    loss = spoil_if_not_finite(loss_of(piece)) / len(pieces)
                self.scaler.scale(loss).backward()
            total += loss.detach()
        self._finite = total.isfinite().float()
        if self.scaler.is_enabled():  # else nothing is tolerated, whatever the loss
            dist.all_reduce(self._finite, dist.ReduceOp.MIN)
        return total

    def freeze(self, step: int) -> None:
        groups = self.optimizer.param_groups
        self.frozen = [parameter for group in groups if step < group["frozen_until"] for parameter in group["params"]]

    def update(self) -> torch.Tensor:
        for parameter in self.frozen:
            parameter.grad = None  # what has no gradient is not even decayed
        self.scaler.unscale_(self.optimizer)
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        optimizer = self.config.optimizer
        norm = clip_gradients(gradients, optimizer.clip_grad, optimizer.clip, self.shards)
        # Of all ranks together, where a scaler finds out for each rank by itself.
        self.optimizer.found_inf = self.guard.judge(norm, self._finite.bool())  # type: ignore[attr-defined]
        self.optimizer.step()
        self.scaler.update()
        self.optimizer.zero_grad()
        return norm

    def full_weights(self) -> dict[str, torch.Tensor]:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        model = self.model if self.shadow is None else self.shadow
        return cast(dict[str, torch.Tensor], get_model_state_dict(model, options=options))

    def snapshot(self) -> Snapshot:
        staged = cast(dict[str, Any], self.stager.stage(self._state()))
        return lambda folder, group: dcp.save(staged, checkpoint_id=folder, process_group=group)

    def load(self, folder: Path, world_size: int) -> None:
        state = self._state()
        groups = state["optimizer"].pop("param_groups")
        dcp_reading.load(state, folder)
        state["optimizer"]["param_groups"] = groups  # the config's, however an older version grouped parameters
        set_state_dict(self.model, self.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.shadow is not None:
            set_model_state_dict(self.shadow, state["shadow"])

    def _state(self) -> dict[str, Any]:
        weights, optimizer = get_state_dict(self.model, self.optimizer)
        state = {"model": weights, "optimizer": optimizer, "scaler": self.scaler.state_dict()}
        return state if self.shadow is None else {**state, "shadow": get_model_state_dict(self.shadow)}


class DDP(Native):
    """Every rank holds the whole model."""

    def wrap(self, model: nn.Module) -> nn.Module:
        module = DistributedDataParallel(model)
        _lay_out_buckets(module)
        return module

    def synchronised(self, wanted: bool) -> AbstractContextManager[None]:
        return nullcontext() if wanted else cast(DistributedDataParallel, self.module).no_sync()


def _lay_out_buckets(module: DistributedDataParallel) -> None:
    """Have DDP lay its buckets out for good.

    It does so anew after its first backward pass, and where a gradient lies in a bucket decides in which order three or
    more ranks are added up: steps after a restart would differ in the last bits. This pass is one without a model, in
    which gradients come as they mostly do: the last parameter's first.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.reducer.prepare_for_backward([])
    torch.stack([parameter.sum() for parameter in parameters]).sum().backward()
    for parameter in parameters:
        parameter.grad = None
