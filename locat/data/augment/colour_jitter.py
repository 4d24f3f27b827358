"""Brightness, contrast, saturation and hue changed at random, in a random order, as torchvision's ColorJitter does."""

from typing import NamedTuple

import torch

from locat.data.augment import photometric
from locat.data.augment.draws import Draws, change
from locat.data.counter import Key

OPERATIONS = (photometric.brightness, photometric.contrast, photometric.saturation, photometric.hue)


class ColourJitter(NamedTuple):
    """By how much each may change: a factor in 1 - strength .. 1 + strength, the hue by a share of its circle."""

    brightness: float
    contrast: float
    saturation: float
    hue: float = 0.0


class Jitter(NamedTuple):
    """The jitter of n samples, on the CPU."""

    order: torch.Tensor
    """The number of the operation at each of the four places, int64 (n, 4)."""
    argument: torch.Tensor
    """Of each operation, float64 (n, 4)."""


def draw_jitter(strength: ColourJitter, draws: Draws) -> Jitter:
    spread = torch.tensor(strength, dtype=torch.float64)
    centre = torch.tensor([1.0, 1, 1, 0], dtype=torch.float64)
    uniform = draws.several(Key.JITTER_FACTOR, len(OPERATIONS))
    order = draws.several(Key.JITTER_ORDER, len(OPERATIONS)).argsort(dim=1)
    return Jitter(order, centre + spread * (2 * uniform - 1))


def apply_jitter(images: torch.Tensor, jitter: Jitter, chosen: torch.Tensor) -> None:
    """Change the `chosen` ones, bool (n,), of uint8 images (n, 3, H, W) in place."""
    unchanged = torch.tensor([1.0, 1, 1, 0], dtype=torch.float64)
    wanted = chosen[:, None] & (jitter.argument != unchanged)
    for place in range(len(OPERATIONS)):
        for number, operation in enumerate(OPERATIONS):
            here = wanted[:, number] & (jitter.order[:, place] == number)
            change(images, here, operation, jitter.argument[:, number])
