"""From 0..255 to what a model expects."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD


class Statistics(NamedTuple):
    """Of each channel's values in 0..1: what `normalize` takes out."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Statistics(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)


def normalize(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """uint8 images (n, c, H, W) as float32 with channels' `mean` and `std` (of values in 0..1) taken out."""
    shift, scale = _channels(tuple(mean), images.device), _channels(tuple(std), images.device)
    return (images / 255).sub_(shift).div_(scale)


def denormalize(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """The uint8 images that `normalize` made `images` of, to be looked at; what lies outside of 0..255 is cut off."""
    shift, scale = _channels(tuple(mean), images.device), _channels(tuple(std), images.device)
    return (images * scale).add_(shift).mul_(255).round_().clamp_(0, 255).byte()


@cache
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(c, 1, 1); kept, since a copy to a GPU waits for it."""
    return torch.tensor(values, device=device).view(-1, 1, 1)
