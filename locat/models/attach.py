"""`attach`: the LocAt form of any timm VisionTransformer, Eva or SwinTransformer, in place, keeping its weights."""

# mypy: warn-return-any=False

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from timm.layers import Attention, AttentionRope, PatchEmbed
from timm.models import Eva, SwinTransformer, VisionTransformer
from timm.models.eva import EvaAttention
from timm.models.swin_transformer import WindowAttention
from torch import nn

from locat.models.attention import LeafPatchEmbed, LocAtAttention, LocAtAttentionRope, LocAtEvaAttention, PatchGrid
from locat.models.gaug import GAug
from locat.models.prr import PRR, PRRMapPool
from locat.models.variants import VARIANTS
from locat.models.window_attention import LocAtWindowAttention

Init = Literal["paper", "identity"]
Model = TypeVar("Model", bound=nn.Module)

LOCAT_FORMS = {
    Attention: LocAtAttention,
    AttentionRope: LocAtAttentionRope,
    EvaAttention: LocAtEvaAttention,
    WindowAttention: LocAtWindowAttention,
}
IDENTITY_LOG_ALPHA = -15.0
"""softplus of this is 3e-7: no logit changes by more, yet Adam still moves it."""


class AttachError(ValueError):
    """A model does not take GAug or PRR."""


def attach(model: Model, gaug: bool | str = True, prr: bool = True, init: Init = "paper") -> Model:
    """Give `model` GAug in every block and PRR before its head; returns the same model.

    `gaug` may name a variant of `locat.models.variants`. With init='identity' outputs stay as
    they are: the Gaussians start with height 3e-7, and PRR enters through a scalar that starts
    at 0 (one more parameter). PRR reads what the pool reads: unnormed tokens where a model norms
    after its pool. As any pool of timm it goes where `reset_classifier` is told another one.
    Raises AttachError that says what a model lacks; it is then unchanged.
    """
    variant = "paper" if gaug is True else gaug
    if variant and variant not in VARIANTS:
        raise AttachError(f"no GAug is called {variant!r}; there are {', '.join(VARIANTS)}")
    layers = attention_layers(model) if variant else []
    gaugs = [new_gaug(VARIANTS[variant], layer, init) for layer in layers] if variant else []
    if prr:
        attach_prr(model, gated=init == "identity")
    if variant:
        attach_gaug(model, layers, gaugs)
    return model


def attached_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters that a model has of GAug and PRR."""
    parts = ((name, part) for name, part in model.named_modules() if isinstance(part, GAug | PRR))
    return {f"{path}.{name}" for path, part in parts for name, _ in part.named_parameters()}


def attach_gaug(model: Any, layers: list[Any], gaugs: list[GAug]) -> None:
    """Turn the attention layers of a model into their forms with GAug."""
    for layer, gaug in zip(layers, gaugs, strict=True):
        layer.gaug = gaug
        layer.__class__ = LOCAT_FORMS[type(layer)]
    if isinstance(model, SwinTransformer):
        return  # a window is a grid of its own
    patch_grid = PatchGrid()
    model.patch_embed.register_forward_hook(patch_grid)
    if type(model.patch_embed) is PatchEmbed:
        model.patch_embed.__class__ = LeafPatchEmbed
    for layer in layers:
        layer.patch_grid = patch_grid
        layer.num_prefix_tokens = model.num_prefix_tokens


def attach_prr(model: Any, gated: bool) -> None:
    """Put PRR before what the head reads: [CLS], or the average of the patches."""
    last = getattr(blocks_of(model)[-1], "attn", None)
    pooling = model.global_pool
    if any(isinstance(module, PRR) for module in model.modules()) or (gated and pooling == "prr"):
        raise AttachError("the model has PRR already")
    if last is None:
        raise AttachError("PRR takes its heads from the last attention layer, and the last block has none of its own")
    if hasattr(model, "head_dist"):
        raise AttachError(
            "PRR stands before one head, and this model has a second, distilled one (prr=False leaves it out)"
        )
    if isinstance(model, SwinTransformer):
        if pooling != "avg":
            raise AttachError(
                f"PRR stands before Swin's average pool; this model pools with {pooling!r} (prr=False leaves it out)"
            )
        model.head.global_pool = PRRMapPool(model.head.global_pool, last.num_heads, gated).to(last.proj.weight)
        return
    if pooling not in ("token", "avg", "prr"):
        raise AttachError(
            f"PRR stands before [CLS] or average pooling; this model pools with {pooling!r} (prr=False leaves it out)"
        )
    average = pooling == "avg" or getattr(model, "cls_token", None) is None
    rows = slice(model.num_prefix_tokens, None) if average else slice(0, model.cls_token.shape[1])
    model.attn_pool = PRR(last.num_heads, rows, average, gated).to(last.proj.weight)
    model.pool_include_prefix = True  # timm's VisionTransformer then hands all tokens to attn_pool


def blocks_of(model: Any) -> list[Any]:
    """The transformer blocks of a supported model, in order."""
    if isinstance(model, VisionTransformer | Eva):
        return list(model.blocks)
    if isinstance(model, SwinTransformer):
        return [block for stage in model.layers for block in stage.blocks]
    raise AttachError(
        f"LocAt attaches to timm's VisionTransformer, Eva and SwinTransformer; {type(model).__name__} "
        "has no patch grid and no queries that GAug knows how to find"
    )


def attention_layers(model: nn.Module) -> list[Any]:
    """Every block's attention layer, if all of them have a form with GAug."""
    patch_drop = getattr(model, "patch_drop", None)
    if patch_drop is not None and not isinstance(patch_drop, nn.Identity):
        raise AttachError("GAug needs every patch of the grid: this model drops patches (patch_drop_rate)")
    blocks = blocks_of(model)
    for block in blocks:
        attention = type(getattr(block, "attn", None))
        if attention in LOCAT_FORMS.values():
            raise AttachError("the model has GAug already")
        if attention not in LOCAT_FORMS:
            found = "no attention layer of its own" if attention is type(None) else attention.__name__
            raise AttachError(f"GAug has no form for {type(block).__name__} with {found}")
    return [block.attn for block in blocks]


def new_gaug(variant: Callable[..., GAug], layer: Any, init: Init) -> GAug:
    """GAug for one attention layer, on its device and in its dtype."""
    weight = layer.proj.weight
    gaug = variant(layer.proj.in_features // layer.num_heads, layer.num_heads, device=weight.device, dtype=weight.dtype)
    if init == "identity":
        if "log_alpha" not in gaug.maps():
            raise AttachError("this GAug variant learns no height that could start from 0: choose init='paper'")
        with torch.no_grad():
            gaug.log_alpha.weight.zero_()
            gaug.log_alpha.bias.fill_(IDENTITY_LOG_ALPHA)
    return gaug
