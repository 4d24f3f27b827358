import math
from collections.abc import Sequence

import pytest
import timm
import torch
from torch import Tensor, nn

import locat.models  # noqa: F401
from locat.config.augmentation import DinoHead as DinoHeadConfig
from locat.models.dino_head import DinoHead, MultiCrop

SMALL_HEAD = DinoHeadConfig(out_dim=20, hidden_dim=12, bottleneck_dim=6)
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 0}


def literal(head: DinoHead, x: Tensor) -> Tensor:
    """The head as the paper describes it, over its parameters, in float64."""
    weights = [(layer.weight.double(), layer.bias.double()) for layer in head.mlp if isinstance(layer, nn.Linear)]
    x = x.double()
    for number, (weight, bias) in enumerate(weights):
        x = x @ weight.T + bias
        if number < len(weights) - 1:
            x = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    x = x / (x * x).sum(1, keepdim=True).sqrt()
    v = head.last_layer.weight.double()
    return x @ (v / (v * v).sum(1, keepdim=True).sqrt()).T


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_head_is_its_formula(layers: int) -> None:
    head = DinoHead(9, SMALL_HEAD.model_copy(update={"layers": layers}))
    x = torch.randn(5, 9)
    torch.testing.assert_close(head(x).double(), literal(head, x), rtol=1e-5, atol=1e-6)
    assert sum(isinstance(layer, nn.Linear) for layer in head.mlp) == layers


def test_the_head_has_the_papers_size() -> None:
    with torch.device("meta"):
        head = DinoHead(384, DinoHeadConfig())
    sizes = [(384 + 1) * 2048, (2048 + 1) * 2048, (2048 + 1) * 256, 256 * 65536]
    assert sum(parameter.numel() for parameter in head.parameters()) == sum(sizes)


def test_the_last_layer_only_knows_directions() -> None:
    head = DinoHead(9, SMALL_HEAD)
    x = torch.randn(5, 9)
    before = head(x)
    assert before.abs().max() <= 1 + 1e-6
    with torch.no_grad():
        head.last_layer.weight *= torch.rand(20, 1) + 0.5
    torch.testing.assert_close(head(x), before)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "locatvit_tiny", "locatvit_tiny_reg4", "locatvit_tiny_nope"])
def test_every_view_comes_out_as_if_alone_and_in_its_place(name: str) -> None:
    backbone = timm.create_model(name, **TINY, dynamic_img_size=True)
    model = MultiCrop(backbone, DinoHead(24, SMALL_HEAD)).eval()
    views = [torch.randn(3, 3, size, size) for size in (32, 32, 16, 16, 24, 32)]
    together = model(views)
    assert together.shape == (6, 3, 20)
    for view, outputs in zip(views, together, strict=True):
        # What the head reads is what the classifier of a supervised model would.
        token = backbone.forward_head(backbone.forward_features(view), pre_logits=True)
        torch.testing.assert_close(outputs, model.head(token), rtol=1e-4, atol=1e-5)


def test_views_of_one_size_share_a_forward_pass() -> None:
    seen: list[torch.Size] = []

    class Backbone(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.shape)
            return images.flatten(2).mean(2)

    views: Sequence[Tensor] = [torch.randn(2, 3, size, size) for size in (32, 32, 16, 16, 16)]
    MultiCrop(Backbone(), DinoHead(3, SMALL_HEAD))(views)
    assert seen == [(4, 3, 32, 32), (6, 3, 16, 16)]
