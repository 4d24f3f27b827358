"""Conformer (arXiv 2105.03889): a ResNet branch and a ViT branch that exchange features in every block.

Named as the released weights are. The depth is 12: one block without exchange, then 11 with it, and the
convolutions halve their grid before blocks 5 and 9 and at the end of block 12.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from typing import Any

import torch
from timm.layers import LayerNorm
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from locat.models.last_patches import LastPatches
from locat.models.registered import default_cfg

EPS = 1e-6
EXPANSION = 4
STEM = 64
LAST = 12


class Bottleneck(nn.Module):
    """ResNet's bottleneck; `inner` is what the ViT branch is told, and what it tells is added before the 3 x 3."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, project: bool = False) -> None:
        super().__init__()
        inner = outputs // EXPANSION
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, eps=EPS)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner, eps=EPS)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=EPS)
        self.residual_conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if project else nn.Identity()
        self.residual_bn = nn.BatchNorm2d(outputs, eps=EPS) if project else nn.Identity()

    def forward(self, x: Tensor, told: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """The output (B, outputs, h, w), and the inner map after the 3 x 3 convolution (B, outputs / 4, h, w)."""
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = F.relu(self.bn2(self.conv2(inner + told)))
        y = self.bn3(self.conv3(inner)) + self.residual_bn(self.residual_conv(x))
        return F.relu(y), inner


class ToTokens(nn.Module):
    """Feature coupling, down: an inner map of the convolutions as patches."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.conv_project = nn.Conv2d(channels, dim, 1)
        self.ln = LayerNorm(dim)

    def forward(self, x: Tensor, stride: int) -> Tensor:
        pooled = F.avg_pool2d(self.conv_project(x), stride)
        return F.gelu(self.ln(pooled.flatten(2).transpose(1, 2)))


class ToMap(nn.Module):
    """Feature coupling, up: patches as a map for the convolutions."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.conv_project = nn.Conv2d(dim, channels, 1)
        self.bn = nn.BatchNorm2d(channels, eps=EPS)

    def forward(self, patches: Tensor, stride: int) -> Tensor:
        y = F.relu(self.bn(self.conv_project(patches)))
        return F.interpolate(y, scale_factor=stride)


class CoupledBlock(nn.Module):
    """A bottleneck, a ViT block that is told its inner map, and a bottleneck that is told the ViT's patches."""

    def __init__(self, inputs: int, outputs: int, dim: int, heads: int, stride: int, coupling: int, last: bool) -> None:
        """`coupling` is the ratio between the grids of the convolutions and of the patches."""
        super().__init__()
        self.coupling = coupling
        self.cnn_block = Bottleneck(inputs, outputs, stride, project=inputs != outputs)
        self.fusion_block = Bottleneck(outputs, outputs, 2 if last else 1, project=last)
        self.squeeze_block = ToTokens(outputs // EXPANSION, dim)
        self.expand_block = ToMap(dim, outputs // EXPANSION)
        self.trans_block = Block(dim, heads, qkv_bias=True)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, inputs, h, w) and tokens (B, 1 + patches, dim), [CLS] first; both refined."""
        x, inner = self.cnn_block(x)
        grid = inner.shape[2] // self.coupling, inner.shape[3] // self.coupling
        told = torch.cat([tokens[:, :1], self.squeeze_block(inner, self.coupling)], dim=1)
        tokens = self.trans_block(told + tokens)
        patches = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
        return self.fusion_block(x, self.expand_block(patches, self.coupling))[0], tokens


class Conformer(LastPatches, nn.Module):
    """Logits are the sum of both branches' heads; there are no positions, so any multiple of 16 pixels is taken."""

    def __init__(
        self, embed_dim: int, num_heads: int, channels: int, num_classes: int = 1000, in_chans: int = 3
    ) -> None:
        """`channels` are those of the bottlenecks at first; they double whenever the grid is halved."""
        super().__init__()
        self.num_classes, self.num_features = num_classes, embed_dim
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.conv1 = nn.Conv2d(in_chans, STEM, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv_1 = Bottleneck(STEM, channels, project=True)
        self.trans_patch_conv = nn.Conv2d(STEM, embed_dim, 4, 4)
        self.trans_1 = Block(embed_dim, num_heads, qkv_bias=True)
        inputs, coupling = channels, 4
        for number in range(2, LAST + 1):
            halved = number in (5, 9)
            outputs, coupling = (2 * inputs, coupling // 2) if halved else (inputs, coupling)
            stride = 2 if halved else 1
            block = CoupledBlock(inputs, outputs, embed_dim, num_heads, stride, coupling, last=number == LAST)
            self.add_module(f"conv_trans_{number}", block)
            inputs = outputs
        self.trans_norm = nn.LayerNorm(embed_dim)
        self.trans_cls_head = nn.Linear(embed_dim, num_classes)
        self.conv_cls_head = nn.Linear(inputs, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        x, tokens = self.branches(images)
        return self.conv_cls_head(x.mean((2, 3))) + self.trans_cls_head(self.trans_norm(tokens)[:, 0])

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last block's maps (B, channels, H / 32, W / 32) and tokens (B, 1 + patches, dim)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, 2, padding=1)
        patches = self.trans_patch_conv(x).flatten(2).transpose(1, 2)
        tokens = self.trans_1(torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1))
        x, _ = self.conv_1(x)
        for number in range(2, LAST + 1):
            x, tokens = self.get_submodule(f"conv_trans_{number}")(x, tokens)
        return x, tokens

    def patches(self, images: Tensor) -> Tensor:
        """The ViT branch's: (B, dim, H / 16, W / 16)."""
        _, tokens = self.branches(images)
        return tokens[:, 1:].transpose(1, 2).unflatten(2, [size // 16 for size in images.shape[-2:]])


default_cfgs = generate_default_cfgs(
    {
        "conformer_base": default_cfg(
            first_conv="conv1",
            classifier=("trans_cls_head", "conv_cls_head"),
            fixed_input_size=False,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        )
    }
)


@register_model
def conformer_base(pretrained: bool = False, **kwargs: Any) -> Conformer:
    """Conformer-B: dim 576, 9 heads, bottlenecks of 384 to 1536 channels."""
    args = {"embed_dim": 576, "num_heads": 9, "channels": 384}
    return build_model_with_cfg(Conformer, "conformer_base", pretrained, **{**args, **kwargs})
