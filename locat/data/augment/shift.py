"""Shifts of whole images by a few pixels."""

import torch

from locat.data import counter
from locat.data.counter import Key


def random_shift(images: torch.Tensor, index: torch.Tensor, *, seed: int, epoch: int, pixels: int) -> torch.Tensor:
    """Images (n, 3, H, W), each shifted by up to `pixels` (< H, W) along each side, mirrored at the border.

    The same as a random H x W crop of the image padded by reflection. `index` (n,) are the samples' numbers.
    """
    count, _, height, width = images.shape
    index = index.to(images.device)
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
