"""What a ViT's query looks at: softmax rows of one block, LocAt's Gaussian included."""

# mypy: warn-return-any=False

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from locat.models.attention import rotate
from locat.models.gaug import Gaussians, Grid


def cls_attends(model: nn.Module) -> bool:
    """Whether `attention_maps` can say what [CLS] looks at: not of Swin's windows, nor without a [CLS]."""
    blocks = getattr(model, "blocks", None)
    attention = getattr(blocks[-1], "attn", None) if blocks is not None else None
    return hasattr(attention, "q_norm") and bool(model.num_prefix_tokens)


@torch.no_grad()
def attention_maps(model: nn.Module, image: Tensor, block: int = -1, query: Grid | None = None) -> Tensor:
    """Attention of one query to every patch, (heads, h, w) float32; what is missing to 1 goes to prefix tokens.

    `model` is a timm ViT in eval mode, with LocAt or without; `image` is (3, H, W), normalised,
    on the model's device; `query` is a patch (row, column), or None for [CLS].
    Works inside the model's own forward pass, so weights may be sharded (every rank must call).
    """
    attention = _attention_layer(model, block)
    prefix = int(model.num_prefix_tokens)  # type: ignore[arg-type]
    if query is None and prefix == 0:
        raise ValueError("this model has no [CLS] token: choose a patch as the query")
    q, k, gaussians = _what_attention_sees(model, attention, image)
    height, width = model.patch_embed.dynamic_feat_size(image.shape[-2:])  # type: ignore[union-attr, operator]
    row = 0 if query is None else prefix + query[0] * width + query[1]
    scores = (q[0, :, row : row + 1] @ k[0].mT).float() * attention.scale
    if gaussians is not None:
        scores = scores + gaussians.bias(prefix)[0, :, row : row + 1].float()
    return scores.softmax(-1)[:, 0, prefix:].unflatten(-1, (height, width))


@torch.no_grad()
def gaussian_shapes(model: nn.Module, image: Tensor, block: int = -1) -> Tensor | None:
    """Standard deviations down and across, in patches, and height, in logits, of every patch's Gaussian in one block.

    (heads, 3, h, w) float32; None for a model without LocAt. Arguments as for `attention_maps`.
    """
    attention = _attention_layer(model, block)
    if not hasattr(attention, "gaug"):
        return None
    gaussians = _what_attention_sees(model, attention, image)[2]
    assert gaussians is not None
    return torch.cat([gaussians.variance.sqrt(), gaussians.alpha], -1)[0].mT.unflatten(-1, gaussians.grid)


def _attention_layer(model: Any, block: int) -> Any:
    attention = model.blocks[block].attn if hasattr(model, "blocks") else None
    if not hasattr(attention, "q_norm"):
        raise ValueError(f"{type(model).__name__} has no blocks that attend over the whole patch grid")
    return attention


def _what_attention_sees(model: nn.Module, attention: Any, image: Tensor) -> tuple[Tensor, Tensor, Gaussians | None]:
    """q and k (1, H, N, head_dim) as they are multiplied, and the Gaussians that are added, in one forward pass."""
    seen: dict[str, Any] = {"gaug": None}

    def note(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: seen.update({name: output})

    def note_rope(_module: nn.Module, _inputs: Any, kwargs: dict[str, Any]) -> None:
        seen["rope"] = kwargs.get("rope")

    with ExitStack() as hooks:
        hooks.enter_context(attention.register_forward_pre_hook(note_rope, with_kwargs=True))
        for part in ("q_norm", "k_norm", "gaug"):
            if hasattr(attention, part):
                hooks.enter_context(getattr(attention, part).register_forward_hook(note(part)))
        model(image.unsqueeze(0))
    q, k = seen["q_norm"], seen["k_norm"]
    if seen["rope"] is not None:
        prefix = int(model.num_prefix_tokens)  # type: ignore[arg-type]
        q, k = (rotate(heads, seen["rope"], prefix, attention.rotate_half) for heads in (q, k))
    return q, k, seen["gaug"]
