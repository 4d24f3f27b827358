"""Jumbo: a ViT whose J [CLS] tokens are joined into one wide token for an MLP of their own, plain and with LocAt."""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

import math
from functools import partial
from typing import Any

import torch
from timm.layers import LayerNorm, LayerScale, Mlp
from timm.models import VisionTransformer, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import Block, checkpoint_filter_fn
from torch import Tensor, nn

from locat.models.prr import PRR
from locat.models.registered import LocAtForm, default_cfg

EPS = 1e-5
"""Of the norms that Jumbo adds, as in the released code; timm's own norms have 1e-6."""


class JumboBlock(Block):
    """timm's Block whose MLP sees patches only; the joined token has norm3, ls3 and an MLP that all blocks share."""

    jumbo_mlp: nn.Module

    def __init__(self, dim: int, *args: Any, tokens: int, init_values: float, **kwargs: Any) -> None:
        super().__init__(dim, *args, init_values=init_values, **kwargs)
        self.tokens = tokens
        self.norm3 = LayerNorm(tokens * dim, eps=EPS)
        self.ls3 = LayerScale(tokens * dim, init_values=init_values)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Tokens (B, J + patches, dim)."""
        x = x + self.drop_path1(self.ls1(self.attn(self.norm1(x), attn_mask=attn_mask, is_causal=is_causal)))
        joined, patches = x[:, : self.tokens].flatten(1), x[:, self.tokens :]
        joined = joined + self.drop_path2(self.ls3(self.jumbo_mlp(self.norm3(joined))))
        patches = patches + self.drop_path2(self.ls2(self.mlp(self.norm2(patches))))
        return torch.cat([joined.unflatten(1, (self.tokens, -1)), patches], dim=1)


class JoinedNorm(LayerNorm):
    """Layer norm over the joined token; patches pass."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__(tokens * dim, eps=EPS)
        self.tokens = tokens

    def forward(self, x: Tensor) -> Tensor:
        joined = super().forward(x[:, : self.tokens].flatten(1))
        return torch.cat([joined.unflatten(1, (self.tokens, -1)), x[:, self.tokens :]], dim=1)


class Jumbo(VisionTransformer):
    """A VisionTransformer with `jumbo_tokens` [CLS] tokens that have no position; the head reads them joined.

    `jumbo_mlp_ratio` is the hidden width of the shared MLP over the width of the joined token.
    """

    def __init__(
        self, jumbo_tokens: int = 6, jumbo_mlp_ratio: float = 4.0, init_values: float = 1e-4, **kwargs: Any
    ) -> None:
        if kwargs.get("global_pool", "token") not in ("token", ""):
            raise ValueError(
                f"Jumbo's head reads its joined [CLS] tokens; global_pool={kwargs['global_pool']!r} has none"
            )
        block = partial(JumboBlock, tokens=jumbo_tokens)
        fixed = {"block_fn": block, "no_embed_class": True, "init_values": init_values}
        super().__init__(**kwargs, **fixed)
        self.num_prefix_tokens = jumbo_tokens
        self.head_hidden_size = width = jumbo_tokens * self.embed_dim  # of the joined token
        self.cls_token = nn.Parameter(torch.empty(1, jumbo_tokens, self.embed_dim))
        nn.init.normal_(self.cls_token, std=1e-6)  # the release asks for 0.02, but timm's initialisation comes after it
        self.jumbo_mlp = Mlp(width, int(jumbo_mlp_ratio * width))
        self.jumbo_mlp.apply(self._init_weights)
        for block in self.blocks:
            block.jumbo_mlp = self.jumbo_mlp
        self.register_load_state_dict_pre_hook(_name_shared_mlp_everywhere)
        self.norm = JoinedNorm(jumbo_tokens, self.embed_dim)
        self._renew_head()

    def pool(self, x: Tensor, pool_type: str | None = None) -> Tensor:
        """The joined token (B, J * dim), refined where PRR is attached."""
        if self.attn_pool is None and (self.global_pool if pool_type is None else pool_type) == "token":
            return x[:, : self.num_prefix_tokens].flatten(1)
        return super().pool(x, pool_type)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        self._renew_head()

    def _renew_head(self) -> None:
        """A new head for `num_classes`, and `num_features` to go with it.

        With timm, `num_features` is the width of `forward_features`, and also of what a model without a classifier
        returns. In Jumbo these are the width of a token and of the joined token.
        """
        self.head: nn.Module = nn.Identity()
        if self.num_classes:
            self.head = head = nn.Linear(self.head_hidden_size, self.num_classes).to(self.cls_token)
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, -math.log(self.num_classes))
        returns_joined = self.num_classes == 0 and self.global_pool
        self.num_features = self.head_hidden_size if returns_joined else self.embed_dim


def _name_shared_mlp_everywhere(model: Jumbo, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Files may hold the shared MLP under one of its names only, as safetensors does; a strict load wants all."""
    owners = [prefix, *(f"{prefix}blocks.{index}." for index in range(len(model.blocks)))]
    for part in model.jumbo_mlp.state_dict(prefix="jumbo_mlp."):
        held = next((state_dict[owner + part] for owner in owners if owner + part in state_dict), None)
        if held is not None:
            state_dict.update({owner + part: held for owner in owners if owner + part not in state_dict})


class LocAtJumbo(LocAtForm, Jumbo):
    """Jumbo with GAug in every block and PRR; the patches that PRR reads have a norm of their own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm_patches = LayerNorm(self.embed_dim, eps=EPS) if isinstance(self.attn_pool, PRR) else None

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        if self.attn_pool is None:
            self.norm_patches = None

    def pool(self, x: Tensor, pool_type: str | None = None) -> Tensor:
        if self.norm_patches is not None:
            tokens = self.num_prefix_tokens
            x = torch.cat([x[:, :tokens], self.norm_patches(x[:, tokens:])], dim=1)
        return super().pool(x, pool_type)


TINY = {"embed_dim": 192, "num_heads": 3}
BASE = {"embed_dim": 768, "num_heads": 12}

default_cfgs = generate_default_cfgs(
    {
        "jumbo_tiny": default_cfg(),
        "jumbo_base": default_cfg(),
        "locatjumbo_tiny": default_cfg(),
        "locatjumbo_base": default_cfg(),
    }
)


def _create(cls: type[Jumbo], variant: str, pretrained: bool, **kwargs: Any) -> Jumbo:
    features = {"out_indices": kwargs.pop("out_indices", 3), "feature_cls": "getter"}
    return build_model_with_cfg(
        cls, variant, pretrained, pretrained_filter_fn=checkpoint_filter_fn, feature_cfg=features, **kwargs
    )


@register_model
def jumbo_tiny(pretrained: bool = False, **kwargs: Any) -> Jumbo:
    """Jumbo-Tiny: 12 blocks, dim 192, 3 heads, patch 16, 6 [CLS] tokens."""
    return _create(Jumbo, "jumbo_tiny", pretrained, **{**TINY, **kwargs})


@register_model
def jumbo_base(pretrained: bool = False, **kwargs: Any) -> Jumbo:
    """Jumbo-Base: 12 blocks, dim 768, 12 heads, patch 16, 6 [CLS] tokens."""
    return _create(Jumbo, "jumbo_base", pretrained, **{**BASE, **kwargs})


@register_model
def locatjumbo_tiny(pretrained: bool = False, **kwargs: Any) -> Jumbo:
    """LocAt Jumbo-Tiny."""
    return _create(LocAtJumbo, "locatjumbo_tiny", pretrained, **{**TINY, **kwargs})


@register_model
def locatjumbo_base(pretrained: bool = False, **kwargs: Any) -> Jumbo:
    """LocAt Jumbo-Base."""
    return _create(LocAtJumbo, "locatjumbo_base", pretrained, **{**BASE, **kwargs})
