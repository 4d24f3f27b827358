"""The patches of a backbone, and heads that make classes of them (docs/method.md section 5, docs/segment.md)."""

# mypy: warn-return-any=False

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locat.config.segmentation import HEADS, MOST_BLOCKS, OTHERS, SegmentHead
from locat.contract.errors import ConfigError
from locat.models.any_size import pad_to_patches
from locat.models.last_patches import LastPatches


class SegmentationHead(nn.Sequential):
    """1x1 convolution, GroupNorm of one group, GELU, 1x1 convolution: (B, dim, h, w) -> (B, classes, h, w).

    The first has no bias, and both start as mmcv's and mmsegmentation's do, which the released code runs. Several maps
    are one, channel by channel.
    """

    def __init__(self, dim: int, hidden_dim: int, classes: int) -> None:
        first, last = nn.Conv2d(dim, hidden_dim, 1, bias=False), nn.Conv2d(hidden_dim, classes, 1)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        _start(last)
        super().__init__(first, nn.GroupNorm(1, hidden_dim), nn.GELU(), last)

    def forward(self, *maps: Tensor) -> Tensor:
        return super().forward(together(maps))


class LinearHead(nn.Sequential):
    """Batch norm and a 1x1 convolution: (B, dim, h, w) -> (B, classes, h, w). Several maps are one."""

    def __init__(self, dim: int, classes: int) -> None:
        last = nn.Conv2d(dim, classes, 1)
        _start(last)
        super().__init__(nn.BatchNorm2d(dim), last)

    def forward(self, *maps: Tensor) -> Tensor:
        return super().forward(together(maps))


def new_head(config: SegmentHead, backbone: Any, blocks: Sequence[int], hidden_dim: int, classes: int) -> nn.Module:
    """The head that `config` names, on the patches of `blocks` of a backbone, with new weights.

    Raises:
        ConfigError: it does not read this backbone, or its package is not installed.
    """
    dims = [patch_dim(backbone, block) for block in blocks]
    if config.name not in HEADS:
        return _made(config, dims, classes)
    if config.name == "mlp":
        return SegmentationHead(sum(dims), hidden_dim, classes)
    if config.name == "linear":
        return LinearHead(sum(dims), classes)
    from locat.models.segmentation_decoders import DPT, UPerNet

    sides = {backbone.feature_info[block]["reduction"] for block in blocks}
    if config.name == "upernet":
        return UPerNet(dims, len(sides) > 1, config.width, classes)
    if len(sides) > 1:
        raise ConfigError("head: dpt reads patches of one size, and this backbone's stages have several; use upernet")
    return DPT(dims, config.width, classes)


def _made(config: SegmentHead, dims: Sequence[int], classes: int) -> nn.Module:
    """The head of a plugin."""
    head = OTHERS[config.name](list(dims), classes, channels=config.width)
    if not isinstance(head, nn.Module):
        raise ConfigError(f"head: {config.name} of a plugin made {type(head).__name__}, which is no module of torch")
    return head


def blocks_read(config: SegmentHead, backbone: Any) -> list[int]:
    """The blocks, of a Swin stages, that the head reads, counted from 0, in their order.

    Raises:
        ConfigError: the backbone has no such block, or gives the patches of its last one alone.
    """
    count = len(backbone.feature_info)
    if config.blocks is None and config.decodes:
        several = min(MOST_BLOCKS, count)
        blocks = [count * part // several - 1 for part in range(1, several + 1)]
    else:
        blocks = sorted({block % count for block in config.blocks or [-1] if -count <= block < count})
        if len(blocks) != len(config.blocks or [-1]):
            raise ConfigError(f"head.blocks {config.blocks}: name each once, of 0 to {count - 1}")
    if isinstance(backbone, LastPatches) and (config.decodes or blocks != [count - 1]):
        raise ConfigError(
            f"head: {type(backbone).__name__} gives the patches of its last block alone; use mlp or linear"
        )
    if config.decodes and len(blocks) < 2:
        raise ConfigError(f"head: {config.name} reads two blocks at least, and the backbone has {count}")
    return blocks


def patch_dim(backbone: Any, level: int = -1) -> int:
    """Channels of `patch_features`."""
    return int(backbone.feature_info[level]["num_chs"])


def patch_features(backbone: Any, images: Tensor, level: int = -1) -> Tensor:
    """Patches of the last block, before final norm and PRR: images (B, 3, H, W) -> (B, dim, h, w).

    Images are padded to whole patches. Of sizes that the model was not built for, see `load_backbone`. `level` counts
    the model's feature maps from the end, such as the stages of a Swin.
    """
    return patch_maps(backbone, images, [len(backbone.feature_info) + level])[0]


def patch_maps(backbone: Any, images: Tensor, blocks: Sequence[int]) -> list[Tensor]:
    """The same of several blocks, counted from 0 and in order."""
    padded = pad_to_patches(backbone, images)
    indices = 1 if list(blocks) == [len(backbone.feature_info) - 1] else list(blocks)
    return backbone.forward_intermediates(padded, indices=indices, norm=False, intermediates_only=True)


def together(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, dim, h, w) as one, channel by channel; smaller ones at the size of the largest, bilinear in between."""
    if len(maps) == 1:
        return maps[0]
    size = max(each.shape[-2:] for each in maps)
    return torch.cat([F.interpolate(each, size, mode="bilinear", align_corners=False) for each in maps], dim=1)


def _start(last: nn.Conv2d) -> None:
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
