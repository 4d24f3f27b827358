"""FSDP2: parameters, gradients and optimizer state are sharded over the ranks."""

from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from locat.contract.errors import ConfigError
from locat.engine.blocks import blocks_of
from locat.engine.precision import DTYPES, kept_by_autocast
from locat.engine.strategies.native import Native


class FSDP(Native):
    """A block is gathered while it computes; torch gathers the next one meanwhile.

    With several `replicas` (HSDP) each is sharded over its own ranks, neighbours as a rule on one node.
    What several blocks share (Jumbo's MLP) belongs to no block: it is gathered while the whole model computes.

    In half precision a block is gathered in the format in which it computes, half the bytes of float32. What autocast
    leaves in float32 (norms, positions) is gathered as it is, with what lies outside of the blocks. Every product then
    sees the numbers that it would see under autocast alone. Gradients are summed in float32.
    """

    def wrap(self, model: nn.Module) -> nn.Module:
        replicas, world_size = self.config.strategy.replicas, self.ranks.world_size
        if world_size % replicas:
            raise ConfigError(f"strategy.replicas: {world_size} ranks cannot be {replicas} equal replicas")
        sizes = {"replicas": replicas, "shards": world_size // replicas}
        if replicas == 1:
            del sizes["replicas"]  # torch would make each rank a group of its own for it
        self.mesh = init_device_mesh(self.ranks.device.type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))
        self.shards = self.mesh.get_group("shards")
        if self.shadow is not None:
            self._shard(self.shadow)
            cast(FSDPModule, self.shadow).set_reshard_after_forward(True)  # no backward pass will do it
        return self._shard(model)

    def synchronised(self, wanted: bool) -> AbstractContextManager[None]:
        module = cast(FSDPModule, self.module)
        module.set_requires_gradient_sync(wanted)
        module.set_is_last_backward(wanted)
        return nullcontext()

    def _shard(self, model: nn.Module) -> nn.Module:
        blocks = blocks_of(model)
        owners = Counter(parameter for block in blocks for parameter in block.parameters())
        inner = {parameter for parameter, count in owners.items() if count == 1}
        policy = MixedPrecisionPolicy()
        if (precision := self.config.precision) != "fp32":
            inner -= kept_by_autocast(model)
            # Autocast casts what goes into a product; what blocks hand on stays float32.
            policy = MixedPrecisionPolicy(DTYPES[precision], torch.float32, cast_forward_inputs=False)
        # The whole first: it does not look into what is sharded already.
        fully_shard(model, mesh=self.mesh, ignored_params=inner)
        for block in blocks:
            fully_shard(block, mesh=self.mesh, mp_policy=policy, ignored_params=set(block.parameters()) - inner)
        return model
