"""ViT and RegViT with LocAt, and the plain variants that timm lacks: registers, no positions."""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from typing import Any

from timm.models import VisionTransformer, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import checkpoint_filter_fn

from locat.models.registered import LocAtForm, default_cfg


class LocAtViT(LocAtForm, VisionTransformer):
    """timm's VisionTransformer with GAug in every block and PRR before the head."""


TINY = {"embed_dim": 192, "num_heads": 3}
SMALL = {"embed_dim": 384, "num_heads": 6}
BASE = {"embed_dim": 768, "num_heads": 12}

default_cfgs = generate_default_cfgs(
    {
        "locatvit_tiny.in1k": default_cfg(hf_hub_id="sinahmr/locatvit_tiny"),
        "locatvit_small": default_cfg(),
        "locatvit_base.in1k": default_cfg(hf_hub_id="sinahmr/locatvit_base"),
        "locatvit_tiny_reg4": default_cfg(),
        "locatvit_base_reg4": default_cfg(),
        "locatvit_tiny_nope": default_cfg(),
        "locatvit_base_nope": default_cfg(),
        "vit_tiny_patch16_reg4_224": default_cfg(),
        "vit_base_patch16_reg4_224": default_cfg(),
        "vit_tiny_patch16_nope_224": default_cfg(),
        "vit_base_patch16_nope_224": default_cfg(),
    }
)


def _create(cls: type[VisionTransformer], variant: str, pretrained: bool, **kwargs: Any) -> VisionTransformer:
    features = {"out_indices": kwargs.pop("out_indices", 3), "feature_cls": "getter"}
    return build_model_with_cfg(
        cls, variant, pretrained, pretrained_filter_fn=checkpoint_filter_fn, feature_cfg=features, **kwargs
    )


@register_model
def locatvit_tiny(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Tiny: 12 blocks, dim 192, 3 heads, patch 16."""
    return _create(LocAtViT, "locatvit_tiny", pretrained, **{**TINY, **kwargs})


@register_model
def locatvit_small(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Small: 12 blocks, dim 384, 6 heads, patch 16."""
    return _create(LocAtViT, "locatvit_small", pretrained, **{**SMALL, **kwargs})


@register_model
def locatvit_base(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Base: 12 blocks, dim 768, 12 heads, patch 16."""
    return _create(LocAtViT, "locatvit_base", pretrained, **{**BASE, **kwargs})


@register_model
def locatvit_tiny_reg4(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Tiny with 4 register tokens."""
    return _create(LocAtViT, "locatvit_tiny_reg4", pretrained, **{**TINY, "reg_tokens": 4, **kwargs})


@register_model
def locatvit_base_reg4(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Base with 4 register tokens."""
    return _create(LocAtViT, "locatvit_base_reg4", pretrained, **{**BASE, "reg_tokens": 4, **kwargs})


@register_model
def locatvit_tiny_nope(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Tiny without positional embedding (paper, Tab. 4)."""
    return _create(LocAtViT, "locatvit_tiny_nope", pretrained, **{**TINY, "pos_embed": "none", **kwargs})


@register_model
def locatvit_base_nope(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """LocAtViT-Base without positional embedding (paper, Tab. 4)."""
    return _create(LocAtViT, "locatvit_base_nope", pretrained, **{**BASE, "pos_embed": "none", **kwargs})


@register_model
def vit_tiny_patch16_reg4_224(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT-Tiny with 4 register tokens."""
    return _create(VisionTransformer, "vit_tiny_patch16_reg4_224", pretrained, **{**TINY, "reg_tokens": 4, **kwargs})


@register_model
def vit_base_patch16_reg4_224(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT-Base with 4 register tokens."""
    return _create(VisionTransformer, "vit_base_patch16_reg4_224", pretrained, **{**BASE, "reg_tokens": 4, **kwargs})


@register_model
def vit_tiny_patch16_nope_224(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT-Tiny without positional embedding (paper, Tab. 4)."""
    return _create(
        VisionTransformer, "vit_tiny_patch16_nope_224", pretrained, **{**TINY, "pos_embed": "none", **kwargs}
    )


@register_model
def vit_base_patch16_nope_224(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT-Base without positional embedding (paper, Tab. 4)."""
    return _create(
        VisionTransformer, "vit_base_patch16_nope_224", pretrained, **{**BASE, "pos_embed": "none", **kwargs}
    )
