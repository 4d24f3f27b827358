"""Random erasing (Zhong et al. 2020): a rectangle of a normalised image becomes noise, pixel by pixel."""

import math
from typing import NamedTuple

import torch

from locat.data import counter
from locat.data.augment.draws import Draws, to_device, to_normal
from locat.data.counter import Key

AREA = (0.02, 1 / 3)
"""Least and largest part of the image."""
ASPECT = (0.3, 1 / 0.3)
"""Least and largest height over width."""
ATTEMPTS = 10
"""Rectangles drawn until one fits into the image; if none does the image stays."""


class Boxes(NamedTuple):
    """One rectangle for each of n samples, int64 (n,) each on the CPU; without height and width where none is."""

    top: torch.Tensor
    left: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor


def draw_boxes(draws: Draws, probability: float, height: int, width: int) -> Boxes:
    """Rectangles in images of `height` x `width`; a sample gets one with `probability`."""
    area = _between(draws.several(Key.ERASE_AREA, ATTEMPTS), *AREA) * (height * width)
    aspect = _between(draws.several(Key.ERASE_ASPECT, ATTEMPTS), math.log(ASPECT[0]), math.log(ASPECT[1])).exp()
    heights = (area * aspect).sqrt().round().long()
    widths = (area / aspect).sqrt().round().long()
    fits = (heights < height) & (widths < width)
    first = fits.int().cumsum(dim=1).eq(1) & fits & draws.happens(Key.ERASE_APPLIED, probability)[:, None]
    box_height, box_width = (heights * first).sum(dim=1), (widths * first).sum(dim=1)
    return Boxes(
        (draws.uniform(Key.ERASE_TOP) * (height - box_height + 1)).long(),
        (draws.uniform(Key.ERASE_LEFT) * (width - box_width + 1)).long(),
        box_height,
        box_width,
    )


def _between(uniform: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return low + uniform * (high - low)


def erase(images: torch.Tensor, boxes: Boxes, draws: Draws) -> None:
    """Put normal noise into the boxes of float images (n, c, H, W), in place."""
    _, channels, height, width = images.shape
    areas = boxes.height * boxes.width
    pixels = int(areas.sum())
    areas_there = to_device(areas, images.device)
    sample, top, left, box_width, start, index = (
        to_device(column, images.device).repeat_interleave(areas_there, output_size=pixels)
        for column in (
            torch.arange(len(areas)),
            boxes.top,
            boxes.left,
            boxes.width,
            areas.cumsum(dim=0) - areas,
            draws.index,
        )
    )
    within = torch.arange(pixels, device=images.device) - start
    row = top + within // box_width
    column = left + within % box_width
    channel = torch.arange(channels, device=images.device)[:, None]
    place = (channel * height + row) * width + column
    word = index * (channels * height * width) + place
    noise = to_normal(counter.uniform(draws.seed, draws.epoch, word, Key.ERASE_NOISE))
    images.flatten(1)[sample, place] = noise.to(images.dtype)
