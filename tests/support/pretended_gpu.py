"""A GPU that is not there: tensors on it have shapes and a device but no values, those of the CPU are real.

What mixes devices raises an error, and so does what asks the GPU for a number, for which the host would wait. There are
no gradients: a backward pass asks for the driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda", 0)
aten = torch.ops.aten


class PretendedGpu(FakeTensorMode):
    """Notes in `waited` what a host would wait for: copies to the GPU from memory that is not pinned."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.waited: list[str] = []
        self._pinned: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        there = [each for each in leaves if isinstance(each, FakeTensor)]
        if func is aten.is_pinned.default:
            return any(args[0] is each for each in self._pinned)
        if func is aten._pin_memory.default:
            self._pinned.append(args[0].clone())
            return self._pinned[-1]
        if there or any(isinstance(each, torch.device) and each.type == "cuda" for each in leaves):
            if func is aten._to_copy.default and not there:
                pinned = any(args[0] is each for each in self._pinned)
                if not pinned or not kwargs.get("non_blocking"):
                    self.waited.append(f"copy of {tuple(args[0].shape)}")
            return super().__torch_dispatch__(func, types, args, kwargs)
        return func(*args, **kwargs)


@contextmanager
def pretended_gpu() -> Iterator[PretendedGpu]:
    """Inside, `DEVICE` can be used."""
    with torch.no_grad(), PretendedGpu() as mode:
        yield mode
