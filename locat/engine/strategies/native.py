"""torch's own strategies: DDP (replicated) and FSDP2 (sharded). They differ in how a model is wrapped."""

from abc import abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from locat.engine.distributed import Ranks
from locat.engine.strategies.base import MakeOptimizer, Strategy, decayed_groups


class Native(Strategy):
    """Training by torch alone; checkpoints by DCP, which any number of ranks can load."""

    def __init__(
        self, model: nn.Module, make_optimizer: MakeOptimizer, weight_decay: float, clip_grad: float, ranks: Ranks
    ) -> None:
        super().__init__(ranks, clip_grad)
        self.model = model.to(ranks.device)  # state dicts are of it: DDP's names of shared parameters do not load
        self.module = self.wrap(self.model)
        self.optimizer = make_optimizer(decayed_groups(model, weight_decay))

    @abstractmethod
    def wrap(self, model: nn.Module) -> nn.Module:
        """Make `model`, already on its device, one model over all ranks."""

    def update(self, loss: torch.Tensor) -> torch.Tensor:
        loss.backward()
        limit = self.clip_grad or float("inf")
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), limit)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def full_weights(self) -> dict[str, torch.Tensor]:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return cast(dict[str, torch.Tensor], get_model_state_dict(self.model, options=options))

    def save(self, folder: Path) -> None:
        weights, optimizer = get_state_dict(self.model, self.optimizer)
        dcp.save({"model": weights, "optimizer": optimizer}, checkpoint_id=folder)

    def load(self, folder: Path) -> None:
        weights, optimizer = get_state_dict(self.model, self.optimizer)
        state: dict[str, Any] = {"model": weights, "optimizer": optimizer}
        dcp.load(state, checkpoint_id=folder)
        set_state_dict(self.model, self.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])


class DDP(Native):
    """Every rank holds the whole model."""

    def wrap(self, model: nn.Module) -> nn.Module:
        return DistributedDataParallel(model)


class FSDP(Native):
    """FSDP2: parameters, gradients and optimizer state are sharded; a block is gathered while it computes.

    What several blocks share (Jumbo's MLP) belongs to no block: it is gathered while the whole model computes.
    """

    def wrap(self, model: nn.Module) -> nn.Module:
        mesh = init_device_mesh(self.ranks.device.type, (self.ranks.world_size,))
        lists = [module for name, module in model.named_modules() if name.split(".")[-1] == "blocks"]
        blocks = [block for blocks in lists for block in blocks.children()]
        owners = Counter(parameter for block in blocks for parameter in block.parameters())
        shared = {parameter for parameter, count in owners.items() if count > 1}
        for block in blocks:
            fully_shard(block, mesh=mesh, ignored_params=shared)
        fully_shard(model, mesh=mesh)
        return model
