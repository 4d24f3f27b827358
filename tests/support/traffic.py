"""What ranks send each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

GATHERS, SUMS = "_allgather_base_", "_reduce_scatter_base_"
"""How torch calls them."""


class Traffic(TorchDispatchMode):
    """Writes down every collective: its name, format, and the bytes of a rank's gathered or summed tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            whole = args[0] if func._opname != SUMS else args[1]
            if isinstance(whole, torch.Tensor):
                self.sent.append((func._opname, str(whole.dtype).removeprefix("torch."), whole.nbytes))
        return func(*args, **kwargs or {})


@contextmanager
def traffic() -> Iterator[list[tuple[str, str, int]]]:
    """The collectives that happen inside, in their order."""
    with Traffic() as mode:
        yield mode.sent
