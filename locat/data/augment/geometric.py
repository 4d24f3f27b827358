"""Shears, translations and rotations of images (n, 3, H, W), as PIL's Image.transform computes them.

A matrix (n, 6) float64 holds (a, b, c, d, e, f): the output pixel whose centre is (x, y) shows the
input at (a x + b y + c, d x + e y + f), in pixels from the upper left corner.
"""

from collections.abc import Callable
from typing import Literal

import torch

from locat.data.augment.draws import to_device

Interpolation = Literal["bilinear", "bicubic"]


def shear_x(factor: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Row y moves by `factor` * y, the upper left corner stays."""
    return identity(len(factor)).index_copy(1, torch.tensor([1]), factor[:, None])


def shear_y(factor: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return identity(len(factor)).index_copy(1, torch.tensor([3]), factor[:, None])


def translate_x(share: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """By `share` of the width, to the left."""
    return identity(len(share)).index_copy(1, torch.tensor([2]), share[:, None] * width)


def translate_y(share: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return identity(len(share)).index_copy(1, torch.tensor([5]), share[:, None] * height)


def rotate(degrees: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Counter-clockwise about the centre."""
    angle = -degrees.deg2rad()
    cos, sin, x, y = angle.cos(), angle.sin(), width / 2, height / 2
    return torch.stack([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y], dim=1)


def identity(count: int) -> torch.Tensor:
    return torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64).repeat(count, 1)


def affine(
    images: torch.Tensor, matrix: torch.Tensor, interpolation: Interpolation, fill: tuple[int, int, int]
) -> torch.Tensor:
    """uint8 images moved by `matrix`; pixels from outside of the image show the colour `fill`."""
    count, _, height, width = images.shape
    a, b, c, d, e, f = matrix.view(-1, 6, 1, 1).unbind(1)
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    across, down = a * x + (b * y + c), d * x + (e * y + f)
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    column, column_weights = _neighbours(across, interpolation)
    row, row_weights = _neighbours(down, interpolation)
    flat = images.flatten(2).float()
    total, line, pixels = (torch.zeros_like(flat) for _ in range(3))
    for row_offset, row_weight in row_weights.items():
        start = (row + row_offset).clamp_(0, height - 1).mul_(width)
        line.zero_()
        for column_offset, column_weight in column_weights.items():
            place = (column + column_offset).clamp_(0, width - 1).add_(start)
            torch.gather(flat, 2, place.view(count, 1, -1).expand_as(flat), out=pixels)
            line.addcmul_(pixels, column_weight)
        total.addcmul_(line, row_weight)
    values = total.add_(ROUNDING_ERROR).clamp_(0, 255).byte().view_as(images)
    colour = to_device(torch.tensor(fill, dtype=torch.uint8), images.device).view(1, 3, 1, 1)
    return torch.where(inside[:, None], values, colour)


def _neighbours(position: torch.Tensor, interpolation: Interpolation) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """For positions (n, H, W) along an axis: the pixel whose centre is before, and what each near it weighs.

    The pixel is an int64 (n, H, W); the weights, by the distance from that pixel, are float32 (n, 1, H * W).
    """
    before = (position - 0.5).floor()
    share = (position - 0.5 - before).float().flatten(1)[:, None]
    return before.long(), WEIGHTS[interpolation](share)


def linear(share: torch.Tensor) -> dict[int, torch.Tensor]:
    return {0: 1 - share, 1: share}


def cubic(share: torch.Tensor) -> dict[int, torch.Tensor]:
    """Cubic convolution with a = -1."""
    rest = 1 - share
    return {
        -1: -share * rest**2,
        0: rest * (1 + share * rest),
        1: share * (1 + share * rest),
        2: -rest * share**2,
    }


WEIGHTS: dict[Interpolation, Callable[[torch.Tensor], dict[int, torch.Tensor]]] = {"bilinear": linear, "bicubic": cubic}
ROUNDING_ERROR = 2**-10
"""Above that of float32 here: fractions are cut off, and an area of one value must keep it."""
