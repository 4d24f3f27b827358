"""LocAt for timm's own architectures, in place."""

import pytest
import timm
import torch

from locat.models.attach import attach
from locat.models.gaug import GAug
from support.model_reference import fill_for_parity

VIT = {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 7}
PATCH_TOKENS = [
    "vit_tiny_patch16_224",
    "vit_base_patch16_clip_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "deit_tiny_patch16_224",
    "deit3_small_patch16_224",
    "vit_base_patch16_gap_224",
    "vit_base_patch16_rpn_224",
    "vit_large_patch14_clip_224",
    "eva02_tiny_patch14_224",
    "eva02_base_patch16_clip_224",
    "vit_small_patch16_rope_224",
    "vit_small_patch16_rope_mixed_224",
    "vit_small_patch16_dinov3",
    "vit_base_patch16_siglip_gap_224",
    "beit3_base_patch16_224",
    "eva_giant_patch14_224",
    "eva_large_patch14_196",
    "swin_tiny_patch4_window7_224",
]
UNSUPPORTED = {
    "resnet18": {},
    "vit_base_patch16_siglip_224": VIT,
    "vit_relpos_small_patch16_224": {},
    "beit_base_patch16_224": {},
}


def small(name: str):
    torch.manual_seed(0)
    if "swin" in name:
        options = {"img_size": 64, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 7}
    else:
        patch = 14 if "patch14" in name else 16
        options = {**VIT, "img_size": 4 * patch}
    model = timm.create_model(name, **options).eval()
    fill_for_parity(model)
    return model


def images(model):
    return torch.randn(2, 3, *model.patch_embed.img_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PATCH_TOKENS)
def test_identity_keeps_the_outputs_and_trains_from_there(name):
    model = small(name).double()  # float32 rounds by more than what is tested
    x = images(model).double()
    expected, weights = model(x).detach(), dict(model.state_dict())
    attached = attach(model, init="identity")
    assert attached is model
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-6)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in weights.items())
    model(x).square().sum().backward()
    first = next(module for module in model.modules() if isinstance(module, GAug))
    assert first.log_alpha.weight.grad.abs().sum() > 0
    assert model.get_parameter("head.global_pool.prr.gate" if "swin" in name else "attn_pool.gate").grad.abs() > 0


@pytest.mark.parametrize("name", PATCH_TOKENS)
def test_papers_init_changes_the_features(name):
    model = small(name)
    x = images(model)
    expected = model.forward_features(x)
    assert (attach(model, prr=False).forward_features(x) - expected).abs().max() > 1e-4


@pytest.mark.parametrize(("name", "options"), UNSUPPORTED.items())
def test_what_is_not_supported_is_refused_with_a_reason(name, options):
    model = timm.create_model(name, **options)
    before = sorted(model.state_dict())
    with pytest.raises(ValueError, match=r"attaches to|PRR stands|no form|form for"):
        attach(model)
    assert sorted(model.state_dict()) == before


def test_attention_pooling_takes_gaug_without_prr():
    model = timm.create_model("vit_base_patch16_siglip_224", **VIT).eval()
    attach(model, prr=False)
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 7)


def test_blocks_without_a_known_attention_are_refused():
    with pytest.raises(ValueError, match="ParallelScalingBlock"):
        attach(timm.create_model("vit_tiny_patch16_224", block_fn=parallel_block()))
    with pytest.raises(ValueError, match="DiffAttention"):
        attach(timm.create_model("vit_tiny_patch16_224", attn_layer="diff", depth=1))


def parallel_block():
    from timm.models.vision_transformer import ParallelScalingBlock

    return ParallelScalingBlock


def test_attaching_twice_is_refused():
    model = attach(small("vit_tiny_patch16_224"))
    with pytest.raises(ValueError, match="has GAug already"):
        attach(model)
    with pytest.raises(ValueError, match="has PRR already"):
        attach(model, gaug=False)


def test_identity_needs_a_height_to_start_from():
    with pytest.raises(ValueError, match="init='paper'"):
        attach(small("vit_tiny_patch16_224"), gaug="fixed-5", init="identity")
