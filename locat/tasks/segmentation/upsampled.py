"""Logits of patches (n, classes, h, w), bilinear in between, without all classes of all pixels at a time."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.data.labels import IGNORED

Size = tuple[int, int]
BAND = 2**21
"""Logits of pixels for which loss and gradient are computed at a time: they stay in the processor's cache."""
LIMIT = 2**25
"""Logits of pixels that exist at a time in a prediction, at least those of one class."""


def size_of(images: Tensor) -> Size:
    """Height and width, the last two dimensions."""
    return images.shape[-2], images.shape[-1]


def upsample(logits: Tensor, size: Size) -> Tensor:
    """(n, classes, *size), corners not aligned; computed in float32."""
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def classify(logits: Tensor, padded: Size, image: Size, size: Size) -> Tensor:
    """The likeliest class of each pixel: uint8 (n, *size).

    The logits are brought to the size of the `padded` image, cut to that of the `image`, and brought to `size`.
    """
    count, classes = logits.shape[:2]
    best = logits.new_full((count, *size), -torch.inf, dtype=torch.float32)
    answer = torch.zeros((count, *size), dtype=torch.uint8, device=logits.device)
    step = max(1, LIMIT // (count * max(size[0] * size[1], padded[0] * padded[1])))
    for first in range(0, classes, step):
        values = upsample(logits[:, first : first + step], padded)[..., : image[0], : image[1]]
        if image != size:
            values = upsample(values, size)
        value, label = values.max(dim=1)
        better = value > best
        answer = torch.where(better, (label + first).byte(), answer)
        best = torch.maximum(best, value)
    return answer


def cross_entropy(
    logits: Tensor, padded: Size, truth: Tensor, over_all: bool = False, class_weights: Tensor | None = None
) -> Tensor:
    """Mean over the known pixels of `truth` uint8 (n, H, W) of the upsampled logits' cross entropy; 0 if none is known.

    `padded` is the size of the padded image, of which `truth` is the upper left part. With `over_all` the sum is
    divided by the number of all pixels, as mmsegmentation does: what is not known, and a crop's padding, counts as 0.
    With `class_weights` (classes,) a pixel counts by that of its class, in the mean over known ones too, as in torch's.
    """
    total: Tensor = CrossEntropy.apply(logits.float(), padded, truth, class_weights)
    if over_all:
        return total / truth.numel()
    known = truth != IGNORED
    if class_weights is None:
        return total / known.sum().clamp(min=1)
    weight = (class_weights[torch.where(known, truth, 0).long()] * known).sum()
    return total / torch.where(weight > 0, weight, 1)


class CrossEntropy(torch.autograd.Function):
    """The sum over the pixels, with its gradient found on the way, some images or rows of one at a time.

    Of what lies between logits and loss nothing is kept, which is 300 times as large as the logits.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, padded: Size, truth: Tensor, class_weights: Tensor | None) -> Tensor:
        classes, height, width = logits.shape[1:]
        rows, columns = truth.shape[1:]
        down = linear_weights(height, padded[0], logits)[:rows]
        across = linear_weights(width, padded[1], logits)[:columns]
        images = max(1, BAND // (classes * rows * columns))
        step = max(1, BAND // (classes * columns))
        gradient, total = torch.zeros_like(logits), logits.new_zeros(())
        parts = zip(logits.split(images), truth.split(images), gradient.split(images), strict=True)
        with torch.autocast(logits.device.type, enabled=False):
            for some, labels_of_some, slope in parts:
                for weights, labels in zip(down.split(step), labels_of_some[:, None].split(step, dim=2), strict=True):
                    values = weights @ some @ across.T
                    known = labels != IGNORED
                    labels = torch.where(known, labels, 0).long()
                    count = known if class_weights is None else known * class_weights[labels]
                    values -= values.amax(dim=1, keepdim=True)
                    true = values.gather(1, labels)
                    shares = values.exp_()
                    sums = shares.sum(dim=1, keepdim=True)
                    total += ((sums.log() - true) * count).sum()
                    shares *= count / sums
                    shares.scatter_add_(1, labels, -count.float())
                    slope += weights.T @ (shares @ across)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0], None, None, None


def linear_weights(source: int, target: int, like: Tensor) -> Tensor:
    """Weights (target, source) with which `upsample` interpolates along one side, on the device of `like`."""
    basis = torch.eye(source, device=like.device)[None]
    return F.interpolate(basis, target, mode="linear", align_corners=False)[0].T.contiguous()
