"""Backbone and segmentation head as one model, for training both."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from locat.models.segmentation_head import patch_maps


class Segmenter(nn.Module):
    """Normalised images (B, 3, H, W) -> logits of their patches (B, classes, h, w).

    Args:
        backbone: a timm model, or one with its interface.
        head: made of its patches.
        blocks: whose patches the head reads, counted from 0.
        backbone_scale: the backbone's learning rate as a part of the head's.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, blocks: Sequence[int], backbone_scale: float = 1.0
    ) -> None:
        super().__init__()
        # Called as a module, or ZeRO-3 would not gather what it holds beside its blocks.
        backbone.forward = partial(patch_maps, backbone, blocks=blocks)
        self.backbone, self.head, self.backbone_scale = backbone, head, backbone_scale

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(*self.backbone(images))
        return logits

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that do not decay: those that the backbone names."""
        named: Any = getattr(self.backbone, "no_weight_decay", set)
        return {f"backbone.{name}" for name in named()}

    def lr_scales(self) -> dict[str, float]:
        """By which the learning rate of parameters is multiplied; that of all others is whole."""
        return {f"backbone.{name}": self.backbone_scale for name, _ in self.backbone.named_parameters()}


def train_what_is_read(backbone: Any, blocks: Sequence[int]) -> None:
    """Have parameters not trained that no patch of `blocks` depends on: the final norm, the classifier, later blocks.

    DDP would wait for their gradients for ever.
    """
    side = 2 * backbone.feature_info[-1]["reduction"]
    with torch.enable_grad():
        maps = patch_maps(backbone.eval(), torch.zeros(1, 3, side, side), blocks)
        parameters = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        found = torch.autograd.grad([each.sum() for each in maps], parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.requires_grad_(gradient is not None)
