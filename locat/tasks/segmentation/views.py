"""Evaluation by several looks at an image: through a window that slides over it, and mirrored."""

from collections.abc import Callable

import torch
from torch import Tensor

from locat.config.segmentation import SegmentEvaluation
from locat.tasks.segmentation.upsampled import Size, size_of, upsample

PatchLogits = Callable[[Tensor], tuple[Tensor, Size]]
"""Of images (n, 3, H, W): the logits of their patches (n, classes, h, w), and the size that these cover."""


def look(logits_of: PatchLogits, images: Tensor, evaluation: SegmentEvaluation) -> Tensor:
    """What each pixel of images (n, 3, H, W) is, float32 (n, classes, H, W): logits; with `flip` probabilities.

    Where windows overlap, and of the image and its mirror image, it is the mean. `logits_of` is called once, with
    `flip` twice, whatever the images' size: a sharded model must be called as often by all ranks.
    """
    if not evaluation.flip:
        return _pixels(logits_of, images, evaluation)
    plain = _pixels(logits_of, images, evaluation).softmax(dim=1)
    return (plain + _pixels(logits_of, images.flip(-1), evaluation).softmax(dim=1).flip(-1)) / 2


def _pixels(logits_of: PatchLogits, images: Tensor, evaluation: SegmentEvaluation) -> Tensor:
    height, width = size_of(images)
    window = evaluation.window or max(height, width)
    step = evaluation.step if evaluation.window else window
    high, wide = min(window, height), min(window, width)
    corners = [(top, left) for top in starts(height, high, step) for left in starts(width, wide, step)]
    parts = torch.cat([images[..., top : top + high, left : left + wide] for top, left in corners])
    logits, padded = logits_of(parts)
    total = logits.new_zeros((len(images), logits.shape[1], height, width), dtype=torch.float32)
    looks = total.new_zeros((height, width))
    for (top, left), some in zip(corners, logits.split(len(images)), strict=True):
        place = (..., slice(top, top + high), slice(left, left + wide))
        total[place] += upsample(some, padded)[..., :high, :wide]
        looks[place] += 1
    return total / looks


def starts(side: int, window: int, step: int) -> list[int]:
    """Where windows begin along a side: every `step` pixels, and the last one at its end."""
    return [*range(0, side - window, step), side - window]
