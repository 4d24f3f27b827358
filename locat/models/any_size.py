"""Backbones for images of any size, whatever size they were built for."""

from typing import Any, TypeVar

from timm.models import Eva, SwinTransformer, VisionTransformer
from timm.models.convit import ConVit
from timm.models.gcvit import GlobalContextVit
from torch import Tensor, nn
from torch.nn import functional as F

from locat.models import convit, gcvit

Model = TypeVar("Model", bound=nn.Module)


def size_arguments(model: nn.Module) -> dict[str, Any]:
    """What tells timm, when it builds a model of this class, that sizes will vary."""
    return {"dynamic_img_size": True} if isinstance(model, VisionTransformer | Eva | SwinTransformer) else {}


def accept_any_size(model: Model) -> Model:
    """Have a model whose class takes one size only take any that is a multiple of its patches; in place."""
    if isinstance(model, ConVit):
        convit.accept_any_grid(model)
    elif isinstance(model, GlobalContextVit):
        gcvit.accept_any_grid(model)
    return model


def padded_size(model: Any, height: int, width: int, level: int = -1) -> tuple[int, int]:
    """Height and width of what the grid of the patches of a feature map covers: up to a multiple of a patch's side."""
    patch = model.feature_info[level]["reduction"]
    return _up_to(height, patch), _up_to(width, patch)


def pad_to_patches(model: Any, images: Tensor) -> Tensor:
    """Zeros to the right and below, up to a multiple of what the model takes.

    That is `padded_size`, but of a Swin the first patches alone: it pads tokens itself wherever it merges them.
    """
    height, width = images.shape[-2:]
    if isinstance(model, SwinTransformer):
        down, across = model.patch_embed.patch_size
        padded_height, padded_width = _up_to(height, down), _up_to(width, across)
    else:
        padded_height, padded_width = padded_size(model, height, width)
    return F.pad(images, (0, padded_width - width, 0, padded_height - height))


def _up_to(size: int, multiple: int) -> int:
    return size + -size % multiple
