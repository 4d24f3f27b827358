"""GCViT (arXiv 2206.09959; timm's `gcvit_*`) on other images than those it was built for.

Its windows are a part of the image (timm's `window_ratio`), and its global queries are as many as a window has patches.
So windows grow with the image, and their tables of relative positions are resampled.
"""

# mypy: disallow-subclassing-any=False, warn-return-any=False

import torch
from timm.layers import RelPosBias
from timm.models.gcvit import GlobalContextVit, GlobalContextVitBlock
from torch import Tensor
from torch.nn import functional as F


class WindowsOfImage(GlobalContextVitBlock):
    """timm's block with a fixed number of windows, instead of windows of a fixed size."""

    windows: tuple[int, int]

    def _window_attn(self, x: Tensor, q_global: Tensor | None = None) -> Tensor:
        height, width = (side // count for side, count in zip(x.shape[1:3], self.windows, strict=True))
        self.window_size = self.attn.rel_pos.window = (height, width)
        return super()._window_attn(x, q_global)


class ResampledRelPosBias(RelPosBias):
    """timm's RelPosBias for `window`, from the table learned for `window_size`; bicubic, as GCViT's authors do."""

    window: tuple[int, int]

    def get_bias(self) -> Tensor:
        """(1, heads, N, N) for a window of N patches."""
        sides = [2 * side - 1 for side in self.window_size]
        table = self.relative_position_bias_table.T.unflatten(1, sides)
        resampled = F.interpolate(table[None], [2 * side - 1 for side in self.window], mode="bicubic")
        rows, columns = (difference_index(side, table.device) for side in self.window)
        bias = resampled[:, :, rows[:, None, :, None], columns[None, :, None, :]]
        return bias.flatten(4).flatten(2, 3)


def difference_index(side: int, device: torch.device) -> Tensor:
    """Where the table has the difference of two coordinates, query less key: (side, side)."""
    coordinates = torch.arange(side, device=device)
    return coordinates[:, None] - coordinates + side - 1


def accept_any_grid(model: GlobalContextVit) -> None:
    """In place: images whose sides are multiples of 32 pixels; at the built size nothing changes."""
    for stage in model.stages:
        for block in stage.blocks:
            height, width = (side // window for side, window in zip(stage.feat_size, block.window_size, strict=True))
            block.windows = (height, width)
            block.__class__ = WindowsOfImage
            block.attn.rel_pos.__class__ = ResampledRelPosBias
