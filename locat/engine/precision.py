"""The number format in which a model computes; what it keeps stays float32."""

from typing import Literal

import torch
from torch import nn

Precision = Literal["bf16", "fp16", "fp32"]

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

PRODUCTS = {layer.forward for layer in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)}
"""Forward passes that only multiply by a weight and add a bias, which autocast does in half precision."""


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Run matrix products in `precision`; a context manager, which does nothing for fp32."""
    return torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32")


def kept_by_autocast(model: nn.Module) -> set[nn.Parameter]:
    """The parameters that a layer of `model` may read in float32: all but those of plain linear maps and convolutions.

    A layer with a forward pass of its own may do with its parameters what it likes.
    """
    return {
        parameter
        for layer in model.modules()
        for name, parameter in layer.named_parameters(recurse=False)
        if type(layer).forward not in PRODUCTS or name not in ("weight", "bias")
    }
