"""RoPEViT: timm's Eva with mixed rotary positions and no others, plain and with LocAt."""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from typing import Any

from timm.models import Eva, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.eva import checkpoint_filter_fn

from locat.models.registered import IMAGENET, LocAtForm, default_cfg


class LocAtEva(LocAtForm, Eva):
    """timm's Eva with GAug in every block, read before the rotation, and PRR before the head."""


ROPE_MIXED = {
    "patch_size": 16,
    "depth": 12,
    "attn_type": "rope",
    "init_values": 1e-5,
    "global_pool": "token",
    "use_abs_pos_emb": False,
    "use_rot_pos_emb": True,
    "rope_grid_indexing": "xy",
    "rope_temperature": 10.0,
    "rope_type": "mixed",
}
TINY = {**ROPE_MIXED, "embed_dim": 192, "num_heads": 3}
BASE = {**ROPE_MIXED, "embed_dim": 768, "num_heads": 12}

default_cfgs = generate_default_cfgs(
    {
        "locatvit_tiny_rope_mixed": default_cfg(**IMAGENET),
        "locatvit_base_rope_mixed": default_cfg(**IMAGENET),
        "vit_tiny_patch16_rope_mixed_224": default_cfg(**IMAGENET),
    }
)


def _create(cls: type[Eva], variant: str, pretrained: bool, **kwargs: Any) -> Eva:
    features = {"out_indices": kwargs.pop("out_indices", 3), "feature_cls": "getter"}
    return build_model_with_cfg(
        cls, variant, pretrained, pretrained_filter_fn=checkpoint_filter_fn, feature_cfg=features, **kwargs
    )


@register_model
def locatvit_tiny_rope_mixed(pretrained: bool = False, **kwargs: Any) -> Eva:
    """LocAt RoPEViT-Tiny: 12 blocks, dim 192, 3 heads, patch 16."""
    return _create(LocAtEva, "locatvit_tiny_rope_mixed", pretrained, **{**TINY, **kwargs})


@register_model
def locatvit_base_rope_mixed(pretrained: bool = False, **kwargs: Any) -> Eva:
    """LocAt RoPEViT-Base: 12 blocks, dim 768, 12 heads, patch 16."""
    return _create(LocAtEva, "locatvit_base_rope_mixed", pretrained, **{**BASE, **kwargs})


@register_model
def vit_tiny_patch16_rope_mixed_224(pretrained: bool = False, **kwargs: Any) -> Eva:
    """RoPEViT-Tiny; timm has Small and Base."""
    return _create(Eva, "vit_tiny_patch16_rope_mixed_224", pretrained, **{**TINY, **kwargs})
