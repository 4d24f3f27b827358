"""The number format in which a model computes; what it keeps stays float32."""

from typing import Literal

import torch

Precision = Literal["bf16", "fp16", "fp32"]

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Run matrix products in `precision`; a context manager, which does nothing for fp32."""
    return torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32")
