"""Clipping of gradients that may be sharded over ranks."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist

from locat.engine.strategies.base import local


@torch.no_grad()
def clip_gradients(
    gradients: Sequence[torch.Tensor],
    limit: float,
    of: Literal["global", "tensor"],
    shards: dist.ProcessGroup | None = None,
) -> torch.Tensor:
    """Scale gradients down to a norm of `limit`, 0 for no limit; the norm of all together before.

    Args:
        gradients: one of each parameter, sharded over the ranks of `shards` where that is given.
        limit: largest norm that is left alone.
        of: whose norm: that of all gradients together, or of each one by itself (Caron et al. 2021).
        shards: ranks that hold a gradient together; they communicate once, whatever the number of gradients.
    """
    parts = [local(gradient) for gradient in gradients]
    norms = torch.stack(torch._foreach_norm(parts))
    if shards is not None:
        squares = norms.square()
        dist.all_reduce(squares, group=shards)
        norms = squares.sqrt()
    total: torch.Tensor = torch.linalg.vector_norm(norms)
    if limit:
        factors = (limit / ((norms if of == "tensor" else total) + 1e-6)).clamp(max=1)
        torch._foreach_mul_(parts, list(factors.expand(len(parts)).unbind()))
    return total
