"""Heads on the patches of several blocks, and backbone and head as one model."""

import sys
from typing import Any

import pytest
import timm
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import locat.models  # noqa: F401
from locat.config import Optimizer
from locat.config.segmentation import COSTS, SegmentHead
from locat.contract.errors import ConfigError
from locat.engine.blocks import blocks_of
from locat.engine.strategies.optimizers import parameter_groups
from locat.models.segmentation_head import LinearHead, blocks_read, new_head, patch_maps
from locat.models.segmenter import Segmenter, train_what_is_read

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 6, "num_heads": 2, "dynamic_img_size": True}
SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 8, "num_heads": (1, 1, 2, 2), "dynamic_img_size": True}
HEADS = ["mlp", "linear", "upernet", "dpt"]
CLASSES = 5


def backbone(name: str = "locatvit_tiny", **args: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model(name, **{**(SWIN if "swin" in name else VIT), "num_classes": 3, **args})


def segmenter(model: Any, head: SegmentHead, scale: float = 1.0) -> Segmenter:
    blocks = blocks_read(head, model)
    train_what_is_read(model, blocks)
    return Segmenter(model, new_head(head, model, blocks, 16, CLASSES), blocks, scale)


def images(*size: int) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("asked", "depth", "expected"),
    [
        ("mlp", 12, [11]),
        ({"name": "linear", "blocks": [-1, 2]}, 12, [2, 11]),
        ("upernet", 12, [2, 5, 8, 11]),
        ("dpt", 6, [0, 2, 3, 5]),
        ("dpt", 2, [0, 1]),
        ({"name": "upernet", "blocks": [0, 1, -2]}, 6, [0, 1, 4]),
    ],
)
def test_which_blocks_are_read(asked: Any, depth: int, expected: list[int]) -> None:
    head = SegmentHead(name=asked) if isinstance(asked, str) else SegmentHead(**asked)
    assert blocks_read(head, backbone(depth=depth)) == expected


def test_blocks_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"head.blocks \[6\]: name each once, of 0 to 5"):
        blocks_read(SegmentHead(blocks=[6]), backbone())
    with pytest.raises(ConfigError, match=r"head.blocks \[5, -1\]: name each once"):
        blocks_read(SegmentHead(blocks=[5, -1]), backbone())
    with pytest.raises(ConfigError, match="upernet reads two blocks at least, and the backbone has 1"):
        blocks_read(SegmentHead(name="upernet"), backbone(depth=1))
    conformer = timm.create_model("conformer_base", embed_dim=12, num_heads=2, channels=8)
    with pytest.raises(ConfigError, match="Conformer gives the patches of its last block alone"):
        blocks_read(SegmentHead(name="dpt"), conformer)
    assert blocks_read(SegmentHead(name="linear"), conformer) == [0]


def test_maps_of_several_blocks_are_those_of_each() -> None:
    model, seen = backbone().eval(), {}
    for number in (1, 3):
        model.blocks[number].register_forward_hook(lambda *call, number=number: seen.setdefault(number, call[-1]))
    for number, found in zip((1, 3), patch_maps(model, images(20, 27), [1, 3]), strict=True):
        torch.testing.assert_close(found, seen[number][:, 1:].transpose(1, 2).unflatten(2, (3, 4)))


def test_the_linear_head_is_batch_norm_and_one_convolution_of_maps_at_the_largest_size() -> None:
    head, large, small = LinearHead(5, 4), torch.randn(2, 3, 4, 6), torch.randn(2, 2, 2, 3)
    joined = torch.cat([large, F.interpolate(small, (4, 6), mode="bilinear", align_corners=False)], dim=1)
    normed = (joined - joined.mean((0, 2, 3), keepdim=True)) / (joined.var((0, 2, 3), False, True) + 1e-5).sqrt()
    expected = torch.einsum("oi,bihw->bohw", head[1].weight[..., 0, 0], normed)
    torch.testing.assert_close(head(large, small), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (20, 27), (40, 72)])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["locatvit_tiny", "vit_tiny_patch16_rope_mixed_224", "locatswin_tiny"])
def test_every_parameter_that_is_trained_has_a_gradient(name: str, head: str, size: tuple[int, int]) -> None:
    if head == "dpt" and "swin" in name:
        pytest.skip("dpt reads patches of one size")
    model = segmenter(backbone(name), SegmentHead(name=head, **({"channels": 8} if head in ("upernet", "dpt") else {})))
    model.train()
    logits = model(images(*size))
    assert logits.shape[:2] == (2, CLASSES)
    logits.square().sum().backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == trained
    left = {name for name, _ in model.named_parameters()} - trained
    assert {name.split(".")[1] for name in left} <= {"norm", "head"} and left


def test_logits_of_the_scales_of_a_decoder() -> None:
    for head, factor in (("upernet", 4), ("dpt", 8)):
        model = segmenter(backbone(), SegmentHead(name=head, channels=8)).eval()
        assert model(images(20, 27)).shape == (2, CLASSES, 3 * factor, 4 * factor)
    swin = segmenter(backbone("locatswin_tiny"), SegmentHead(name="upernet", channels=8)).eval()
    assert swin(images(64, 96)).shape == (2, CLASSES, 16, 24)
    with pytest.raises(ConfigError, match="dpt reads patches of one size"):
        segmenter(backbone("locatswin_tiny"), SegmentHead(name="dpt"))


def test_upernets_pools_are_no_blocks_of_a_transformer() -> None:
    model = segmenter(backbone(), SegmentHead(name="upernet", channels=8))
    assert blocks_of(model) == list(model.backbone.blocks)


def test_the_backbone_has_a_rate_of_its_own_and_its_layers_less() -> None:
    model = segmenter(backbone(), SegmentHead(), scale=0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, Optimizer(layer_decay=0.5))
    scales = {names[id(each)]: group["lr_scale"] for group in groups for each in group["params"]}
    assert scales["head.0.weight"] == 1
    assert scales["backbone.blocks.5.mlp.fc1.weight"] == pytest.approx(0.1)
    assert scales["backbone.blocks.4.mlp.fc1.weight"] == pytest.approx(0.05)
    assert scales["backbone.pos_embed"] == pytest.approx(0.1 * 0.5**6)
    decays = {names[id(each)]: group["decays"] for group in groups for each in group["params"]}
    assert not decays["backbone.pos_embed"] and not decays["backbone.cls_token"]
    assert "backbone.norm.weight" not in scales and "backbone.head.weight" not in scales


@pytest.mark.parametrize("name", sorted(COSTS))
def test_estimates_know_what_a_decoder_costs(name: str) -> None:
    head = SegmentHead(name=name, channels=64)
    model = new_head(head, backbone(embed_dim=192, patch_size=16), range(4), 0, classes=20).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*[torch.zeros(1, 192, 8, 8)] * 4)
    assert head.multiply_adds(128) == pytest.approx(counter.get_total_flops() / 2, rel=0.2)
    assert head.parameters() == pytest.approx(sum(each.numel() for each in model.parameters()), rel=0.35)


def test_without_its_package_a_decoder_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("upernet", "dpt"):
        monkeypatch.setitem(sys.modules, f"segmentation_models_pytorch.decoders.{name}.decoder", None)
        with pytest.raises(ConfigError, match=f"head: {name} needs the package segmentation-models-pytorch, .*`make"):
            segmenter(backbone(), SegmentHead(name=name))
