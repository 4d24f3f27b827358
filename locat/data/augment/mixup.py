"""mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019): each image is mixed with its neighbour in the batch.

Samples 2i and 2i + 1 are a pair, so that a batch cut into pieces of even size, over ranks or in
time, is mixed as the whole one would be. The last sample of an odd batch is its own partner: it
stays as it is. What is drawn is drawn once for a group of neighbours: all of the batch, or as many as one GPU of the
release had.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from locat.data.counter import Key

CUTMIX_PROBABILITY = 0.5
"""Of cutmix where both may be drawn."""


class Box(NamedTuple):
    """Rows `top` to `bottom` - 1 and columns `left` to `right` - 1."""

    top: int
    bottom: int
    left: int
    right: int


class Mix(NamedTuple):
    """How the images of one batch are mixed."""

    share: float
    """Of an image's own label in its target, 0..1."""
    box: Box | None
    """What cutmix takes from the partner; None for mixup."""


def groups(start: int, count: int, size: int | None) -> list[tuple[int, int]]:
    """The groups of `size` that `count` samples of a batch from `start` on are in: its number, and how many of them."""
    if size is None:
        return [(0, count)]
    ends = range(start // size * size + size, start + count, size)
    return [(first // size, last - first) for first, last in pairwise((start, *ends, start + count))]


def draw_mix(
    *, mixup: float, cutmix: float, height: int, width: int, seed: int, epoch: int, batch: int, group: int = 0
) -> Mix:
    """For a group of an epoch's batch number `batch`; `mixup` and `cutmix` are alphas of Beta distributions."""
    words = np.random.SeedSequence([seed, epoch, batch, Key.MIX], spawn_key=(group,) if group else ())
    random = np.random.Generator(np.random.Philox(words))
    if mixup == 0 and cutmix == 0:
        return Mix(1.0, None)
    if mixup == 0 or (cutmix > 0 and random.random() < CUTMIX_PROBABILITY):
        box = _draw_box(random, random.beta(cutmix, cutmix), height, width)
        cut = (box.bottom - box.top) * (box.right - box.left)
        return Mix(1 - cut / (height * width), box)
    return Mix(random.beta(mixup, mixup), None)


def _draw_box(random: np.random.Generator, share: float, height: int, width: int) -> Box:
    """Around a centre anywhere in the image; what reaches out of the image is cut off."""
    side = np.sqrt(1 - share)
    rows, columns = int(height * side), int(width * side)
    row, column = int(random.integers(height)), int(random.integers(width))
    return Box(
        max(row - rows // 2, 0),
        min(row + (rows + 1) // 2, height),
        max(column - columns // 2, 0),
        min(column + (columns + 1) // 2, width),
    )


def neighbours(count: int, device: torch.device) -> torch.Tensor:
    """The partner of each of `count` samples, int64 (count,)."""
    return (torch.arange(count, device=device) ^ 1).clamp_(max=count - 1)


def mix_images(images: torch.Tensor, mix: Mix) -> torch.Tensor:
    """Float images (n, c, H, W) mixed pair by pair."""
    partner = images[neighbours(len(images), images.device)]
    if mix.box is None:
        return partner.lerp_(images, mix.share)
    inside = (..., slice(mix.box.top, mix.box.bottom), slice(mix.box.left, mix.box.right))
    mixed = images.clone()
    mixed[inside] = partner[inside]
    return mixed


def mix_targets(labels: torch.Tensor, mix: Mix, classes: int, smoothing: float) -> torch.Tensor:
    """Labels int64 (n,) as probabilities, float32 (n, classes): smoothed, then mixed as the images."""
    off = smoothing / classes
    target = torch.full((len(labels), classes), off, device=labels.device)
    target.scatter_(1, labels[:, None], 1 - smoothing + off)
    return target * mix.share + target[neighbours(len(labels), labels.device)] * (1 - mix.share)
