"""The loss of `segment`: a sum of cross entropy and dice."""

import torch
from torch import Tensor

from locat.config import SegmentConfig
from locat.config.sets import called
from locat.contract.errors import ConfigError
from locat.contract.problems import did_you_mean
from locat.data.open_sets import manifest_of
from locat.tasks.segmentation.dice import dice_loss
from locat.tasks.segmentation.upsampled import Size, cross_entropy


class SegmentationLoss:
    """The loss that `config` asks for, of masks of these `classes`.

    Raises:
        ConfigError: `class_weights` name what is no class, or the training set's pixels were not counted.
    """

    def __init__(self, config: SegmentConfig, classes: tuple[str, ...], device: torch.device) -> None:
        self.parts = config.loss
        self.over_all = config.protocol == "release"
        weights = class_weights(config, classes)
        self.class_weights = None if weights is None else torch.tensor(weights, device=device)

    def __call__(self, logits: Tensor, padded: Size, truth: Tensor) -> Tensor:
        """Of patches' logits (n, classes, h, w), which cover `padded`, and masks uint8 (n, H, W)."""
        total = logits.new_zeros((), dtype=torch.float32)
        if self.parts.cross_entropy:
            found = cross_entropy(logits, padded, truth, self.over_all, self.class_weights)
            total = total + self.parts.cross_entropy * found
        if self.parts.dice:
            total = total + self.parts.dice * dice_loss(logits, padded, truth)
        return total


def class_weights(config: SegmentConfig, classes: tuple[str, ...]) -> list[float] | None:
    """The weight of each class; None where all count alike."""
    asked, train = config.loss.class_weights, config.data.train
    for name in asked:
        if name not in classes:
            near = did_you_mean(name, classes) or f"; its classes are {', '.join(classes)}"
            raise ConfigError(f"loss.class_weights: {called(train)} has no class {name!r}{near}")
    if not config.loss.balanced:
        return [asked.get(name, 1.0) for name in classes] if asked else None
    pixels = manifest_of(train).pixels
    if not pixels:
        raise ConfigError(
            f"loss.balanced: the pixels of {called(train)} were not counted; convert it again, or write class_weights"
        )
    return [sum(pixels) / (len(pixels) * count) if count else 1.0 for count in pixels]
