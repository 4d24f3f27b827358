"""Swin Transformer with LocAt: GAug inside each window, PRR before the average pool."""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from typing import Any

from timm.models import SwinTransformer, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.swin_transformer import checkpoint_filter_fn

from locat.models.registered import IMAGENET, LocAtForm, default_cfg


class LocAtSwin(LocAtForm, SwinTransformer):
    """timm's SwinTransformer with GAug in every window and PRR over the last stage's tokens."""

    refined_pools = ("avg",)


default_cfgs = generate_default_cfgs(
    {
        "locatswin_tiny": default_cfg(
            first_conv="patch_embed.proj", classifier="head.fc", pool_size=(7, 7), **IMAGENET
        ),
        "locatswin_base": default_cfg(
            first_conv="patch_embed.proj", classifier="head.fc", pool_size=(7, 7), **IMAGENET
        ),
    }
)


def _create(variant: str, pretrained: bool, **kwargs: Any) -> LocAtSwin:
    features = {"out_indices": kwargs.pop("out_indices", (0, 1, 2, 3)), "flatten_sequential": True}
    return build_model_with_cfg(
        LocAtSwin, variant, pretrained, pretrained_filter_fn=checkpoint_filter_fn, feature_cfg=features, **kwargs
    )


@register_model
def locatswin_tiny(pretrained: bool = False, **kwargs: Any) -> LocAtSwin:
    """LocAtSwin-Tiny: patch 4, window 7, dim 96."""
    args = {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)}
    return _create("locatswin_tiny", pretrained, **{**args, **kwargs})


@register_model
def locatswin_base(pretrained: bool = False, **kwargs: Any) -> LocAtSwin:
    """LocAtSwin-Base: patch 4, window 7, dim 128."""
    args = {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)}
    return _create("locatswin_base", pretrained, **{**args, **kwargs})
