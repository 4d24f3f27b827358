"""Parameters and FLOPs of a model at its own image size, without computing anything."""

import math
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from locat.models.prr import PRR

LAYER_NORM = 5
"""Operations per normalised element: the convention of fvcore, which papers count with."""


class Cost(NamedTuple):
    """`flops` are multiply-adds of one image; `flops_refining_all` has PRR refine every token, read or not."""

    parameters: int
    flops: int
    flops_refining_all: int


def cost(name: str) -> Cost:
    """What `timm.create_model(name)` costs.

    Counted are convolutions and matrix products (attention's and GAug's maps among them) and layer
    norms. Element-wise work is not: softmax, GELU, the sum of logits and GAug's kernel.
    """
    with torch.device("meta"):
        model = timm.create_model(name).eval()
        flops = count_flops(model)
        for module in model.modules():
            if type(module) is PRR:
                module.__class__ = RefiningAll
        return Cost(sum(p.numel() for p in model.parameters()), flops, count_flops(model))


class RefiningAll(PRR):
    """PRR that refines every token and then keeps those that the head reads."""

    def refine(self, x: Tensor) -> Tensor:
        return PRR(self.num_heads).refine(x)[:, self.rows]


def count_flops(model: nn.Module) -> int:
    """Multiply-adds of one image through a timm model on the meta device."""
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.native_layer_norm: layer_norm_flops})
    with counter, torch.no_grad():
        model(torch.empty(1, *model.pretrained_cfg["input_size"], device="meta"))  # type: ignore[index]
    return counter.get_total_flops() // 2


def layer_norm_flops(input_shape: tuple[int, ...], *_: Any, **__: Any) -> int:
    """In the counter's unit, where a multiply-add is 2."""
    return 2 * LAYER_NORM * math.prod(input_shape)
