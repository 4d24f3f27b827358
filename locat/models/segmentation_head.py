"""The segmentation head on frozen patches (docs/method.md section 5)."""

from typing import Any

from torch import Tensor, nn

from locat.models.any_size import pad_to_patches


class SegmentationHead(nn.Sequential):
    """1x1 convolution, GroupNorm of one group, GELU, 1x1 convolution: (B, dim, h, w) -> (B, classes, h, w).

    The first has no bias, and both start as mmcv's and mmsegmentation's do, which the released code runs.
    """

    def __init__(self, dim: int, hidden_dim: int, classes: int) -> None:
        first, last = nn.Conv2d(dim, hidden_dim, 1, bias=False), nn.Conv2d(hidden_dim, classes, 1)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        super().__init__(first, nn.GroupNorm(1, hidden_dim), nn.GELU(), last)


def patch_dim(backbone: Any, level: int = -1) -> int:
    """Channels of `patch_features`."""
    return int(backbone.feature_info[level]["num_chs"])


def patch_features(backbone: Any, images: Tensor, level: int = -1) -> Tensor:
    """Patches of the last block, before final norm and PRR: images (B, 3, H, W) -> (B, dim, h, w).

    Images are padded to whole patches. Of sizes that the model was not built for, see `load_backbone`. `level` counts
    the model's feature maps from the end, such as the stages of a Swin.
    """
    padded = pad_to_patches(backbone, images)
    indices = 1 if level == -1 else [len(backbone.feature_info) + level]
    features: Tensor = backbone.forward_intermediates(padded, indices=indices, norm=False, intermediates_only=True)[0]
    return features
