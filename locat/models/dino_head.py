"""What DINO trains (Caron et al. 2021, arXiv 2104.14294): backbone and projection head, over crops of any size."""

# mypy: disallow-subclassing-any=False

from collections.abc import Sequence
from itertools import groupby, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locat.config.augmentation import DinoHead as DinoHeadConfig


class WeightNormedLinear(nn.Linear):
    """A linear map without bias whose rows have norm 1, whatever the norm of its weight's rows (Caron et al., App. C).

    It is weight norm with its gain fixed to 1, in one plain parameter that can be sharded.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, F.normalize(self.weight, dim=1))


class DinoHead(nn.Module):
    """A GELU MLP to a bottleneck of unit length, then the weight-normed layer: (..., dim) -> (..., out_dim)."""

    def __init__(self, dim: int, config: DinoHeadConfig) -> None:
        super().__init__()
        widths = [dim, *[config.hidden_dim] * (config.layers - 1)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], config.bottleneck_dim))
        for linear in (layer for layer in self.mlp if isinstance(layer, nn.Linear)):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        self.last_layer = WeightNormedLinear(config.bottleneck_dim, config.out_dim)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.last_layer(F.normalize(self.mlp(x), dim=-1))
        return outputs


class MultiCrop(nn.Module):
    """A backbone without classifier, and its head, over views of several sizes in one call.

    It names no parameters that do not decay, so that all but vectors do, positions too: Caron et al.'s rule.
    """

    def __init__(self, backbone: nn.Module, head: DinoHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Outputs (V, B, out_dim) of V views (B, 3, h, w), in their order; neighbours of one size go together."""
        features = [
            self.backbone(torch.cat(list(same))) for _, same in groupby(views, key=lambda view: view.shape[-2:])
        ]
        outputs: Tensor = self.head(torch.cat(features).unflatten(0, (len(views), -1)))
        return outputs
