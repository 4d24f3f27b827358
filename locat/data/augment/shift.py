"""Shifts of whole images by a few pixels."""

from collections.abc import Sequence

import torch

from locat.config.augmentation import Shift
from locat.data import counter
from locat.data.augment.draws import to_device
from locat.data.augment.normalise import normalize
from locat.data.counter import Key


class ShiftTransform:
    """Shifts and normalisation, for small pictures that must not be mirrored; called as `ImageNetTransform` is.

    Args:
        config: the recipe.
        classes: number of classes.
        label_smoothing: share of a target spread evenly over the classes.
        mean, std: of each channel's values in 0..1.
        seed: of all draws.
    """

    def __init__(
        self,
        config: Shift,
        classes: int,
        label_smoothing: float,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
    ) -> None:
        self.config, self.classes, self.label_smoothing = config, classes, label_smoothing
        self.mean, self.std, self.seed = mean, std, seed

    def __call__(
        self, images: torch.Tensor, target: torch.Tensor, index: torch.Tensor, epoch: int, batch: int, start: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images uint8 (n, 3, H, W) and labels int64 (n,) as float32 images and probabilities (n, classes).

        The n samples have the numbers `index`, int64 (n,); nothing depends on the batch.
        """
        shifted = random_shift(images, index, seed=self.seed, epoch=epoch, pixels=self.config.pixels)
        labels = torch.zeros(len(target), self.classes, device=target.device).scatter_(1, target[:, None], 1.0)
        smoothed = labels * (1 - self.label_smoothing) + self.label_smoothing / self.classes
        return normalize(shifted, self.mean, self.std), smoothed


def random_shift(images: torch.Tensor, index: torch.Tensor, *, seed: int, epoch: int, pixels: int) -> torch.Tensor:
    """Images (n, 3, H, W), each shifted by up to `pixels` (< H, W) along each side, mirrored at the border.

    The same as a random H x W crop of the image padded by reflection. `index` (n,) are the samples' numbers.
    """
    count, _, height, width = images.shape
    index = to_device(index, images.device)
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    down = counter.integers(seed, epoch, index, Key.SHIFT_DOWN, -pixels, pixels)
    right = counter.integers(seed, epoch, index, Key.SHIFT_RIGHT, -pixels, pixels)
    rows = reflect(rows - down[:, None], height)[:, :, None]
    columns = reflect(columns - right[:, None], width)[:, None, :]
    sample = torch.arange(count, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[sample, rows, columns].permute(0, 3, 1, 2)


def reflect(position: torch.Tensor, size: int) -> torch.Tensor:
    """Positions outside of 0..`size` - 1 mirrored into it, without repeating the border."""
    position = position.abs()
    return torch.minimum(position, 2 * (size - 1) - position)
