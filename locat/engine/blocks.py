"""The blocks of a transformer: the parts that are compiled, recomputed and sharded one by one."""

from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The members of every module list named `blocks`, wherever it is in `model`; but UPerNet's pools, so named too."""
    named = ((name.split("."), module) for name, module in model.named_modules())
    lists = [module for path, module in named if path[-1] == "blocks" and path[-2:] != ["psp", "blocks"]]
    return [block for blocks in lists for block in blocks.children()]


def compile_blocks(model: nn.Module) -> None:
    """torch.compile every block where it stands: names of parameters stay, and so do hooks around the blocks."""
    blocks = blocks_of(model)
    # All blocks share one cache. Each needs an entry (its drop path rate is a constant of the code), per mode.
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, 8 * len(blocks))
    for block in blocks:
        block.forward = torch.compile(block.forward)


def recompute_blocks(model: nn.Module) -> None:
    """Keep only the inputs of every block in the forward pass, and compute the rest again in the backward pass."""
    for block in blocks_of(model):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
