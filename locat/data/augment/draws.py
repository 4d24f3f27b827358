"""The random numbers of augmentation, drawn on the CPU.

There they cost little, are the same for every device, and say without waiting for the device which
samples an operation changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from locat.data import counter
from locat.data.counter import STREAM, Key


@dataclass(frozen=True)
class Draws:
    """The draws of the samples `index`, int64 (n,) on the CPU, in one epoch.

    `stream` keeps apart what is drawn several times under one key: layers, views.
    """

    seed: int
    epoch: int
    index: torch.Tensor
    stream: int = 0

    def in_stream(self, stream: int) -> "Draws":
        return replace(self, stream=stream)

    def uniform(self, key: Key) -> torch.Tensor:
        """In [0, 1), float64 (n,)."""
        return counter.uniform(self.seed, self.epoch, self.index, self._in_stream(key))

    def several(self, key: Key, count: int) -> torch.Tensor:
        """In [0, 1), float64 (n, count)."""
        index = self.index[:, None] * count + torch.arange(count)
        return counter.uniform(self.seed, self.epoch, index, self._in_stream(key))

    def happens(self, key: Key, probability: float) -> torch.Tensor:
        """True with `probability`, bool (n,)."""
        return self.uniform(key) < probability

    def normal(self, key: Key) -> torch.Tensor:
        """Of mean 0 and standard deviation 1, float64 (n,)."""
        return to_normal(self.uniform(key))

    def _in_stream(self, key: Key) -> int:
        return self.stream * STREAM + key


def to_normal(uniform: torch.Tensor) -> torch.Tensor:
    """Uniform numbers in [0, 1) as normal ones, by the inverse of the distribution function."""
    normal: torch.Tensor = torch.special.ndtri(uniform.clamp(min=2**-54))
    return normal


def change(
    images: torch.Tensor,
    chosen: torch.Tensor,
    operation: Callable[..., torch.Tensor],
    *arguments: torch.Tensor,
) -> None:
    """Replace the `chosen` ones, bool (n,) on the CPU, of images (n, 3, H, W) by what `operation` makes of them.

    `arguments`, of n rows each, are passed on for the chosen samples, on the images' device.
    """
    rows = chosen.nonzero().flatten()
    if len(rows) == 0:
        return
    there = to_device(rows, images.device)
    arguments_there = (to_device(argument[rows], images.device) for argument in arguments)
    images.index_copy_(0, there, operation(images.index_select(0, there), *arguments_there))


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A few numbers that were drawn or fixed on the CPU; a copy from memory that is not pinned would wait for a GPU."""
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)
