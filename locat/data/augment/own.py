"""Augmentations of plugins (docs/extend/parts.md)."""

import torch

from locat.config.augmentation import OTHERS
from locat.contract.errors import ConfigError
from locat.data.augment.draws import Draws
from locat.data.counter import Key


def apply_own(name: str, images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Images uint8 (n, 3, H, W) as the augmentation of a plugin leaves them; it draws no numbers but these.

    Raises:
        ConfigError: it gives something else back.
    """
    changed = OTHERS[name](images, lambda count: draws.several(Key.OWN, count))
    if not isinstance(changed, torch.Tensor) or (changed.shape, changed.dtype) != (images.shape, images.dtype):
        raise ConfigError(
            f"augment.own: {name} of a plugin must give back a tensor of {images.dtype} and shape {tuple(images.shape)}"
        )
    return changed
