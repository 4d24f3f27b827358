"""Attention maps against the softmax that the model itself computes."""

import pytest
import timm
import torch
from timm.layers import set_fused_attn

import locat.models  # noqa: F401
from locat.models.attention_maps import attention_maps, cls_attends, gaussian_shapes

VIT = {"img_size": (32, 24), "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}


def image():
    return torch.randn(3, 32, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_tiny_patch16_rope_mixed_224", "vit_tiny_patch16_reg4_224"]
)
@pytest.mark.parametrize("query", [None, (2, 1)])
def test_they_are_timms_softmax_rows(name, query):
    set_fused_attn(False)
    model = timm.create_model(name, **VIT).eval()
    set_fused_attn(True)
    rows = []
    model.blocks[0].attn.attn_drop.register_forward_hook(lambda _module, _inputs, output: rows.append(output))
    maps = attention_maps(model, image(), block=0, query=query)
    prefix = model.num_prefix_tokens
    row = 0 if query is None else prefix + 2 * 3 + 1
    torch.testing.assert_close(maps, rows[0][0, :, row, prefix:].unflatten(-1, (4, 3)))


@pytest.mark.parametrize("name", ["locatvit_tiny", "locatvit_tiny_rope_mixed", "locatjumbo_tiny"])
@pytest.mark.parametrize("query", [None, (2, 1)])
def test_with_locat_they_give_the_attention_layers_output(name, query):
    model = timm.create_model(name, **VIT).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    attention = model.blocks[1].attn
    seen = {}
    attention.register_forward_pre_hook(lambda _module, inputs: seen.update(x=inputs[0]))
    attention.proj.register_forward_pre_hook(lambda _module, inputs: seen.update(y=inputs[0]))
    prefix = model.num_prefix_tokens
    maps = attention_maps(model, image(), block=1, query=query)
    assert maps.shape == (2, 4, 3)
    assert (maps.sum((1, 2)) <= 1).all()
    with torch.no_grad():
        _, _, v = attention.project(seen["x"])
        missing = 1 - maps.sum((1, 2))
        row = 0 if query is None else prefix + 2 * 3 + 1
        from_patches = (maps.flatten(1)[:, None] @ v[0, :, prefix:])[:, 0]
        from_prefix = seen["y"][0, row].unflatten(-1, (2, -1)) - from_patches
    # What the map gives to patches explains the output but for a mean of the prefix tokens' values.
    low, high = v[0, :, :prefix].amin(1) * missing[:, None], v[0, :, :prefix].amax(1) * missing[:, None]
    assert ((from_prefix >= low - 1e-5) & (from_prefix <= high + 1e-5)).all()


def test_a_query_in_a_flat_model_sees_its_gaussian():
    model = timm.create_model("locatvit_tiny", **VIT).eval()
    attention = model.blocks[-1].attn
    with torch.no_grad():
        attention.qkv.weight.zero_()
        attention.qkv.bias.zero_()
        attention.gaug.log_alpha.bias.fill_(4.0)
    maps = attention_maps(model, image(), query=(1, 2))
    assert maps[0].argmax().item() == 1 * 3 + 2
    torch.testing.assert_close(maps[0, 0], maps[0, 2])


def test_the_gaussians_of_every_patch():
    model = timm.create_model("locatvit_tiny", **VIT).eval()
    gaug = model.blocks[-1].attn.gaug
    with torch.no_grad():
        for linear in (gaug.log_var, gaug.log_alpha):
            linear.weight.zero_()
        gaug.log_var.bias[1] = 100.0
    shapes = gaussian_shapes(model, image())
    assert shapes.shape == (2, 3, 4, 3)
    # log_var 0 is variance 1, and a large one the largest, 4^2; eps is 0.1. softplus(0) = ln 2.
    for found, expected in zip(shapes.unbind(1), (1.1**0.5, 16.1**0.5, 0.6931472), strict=True):
        torch.testing.assert_close(found, torch.full((2, 4, 3), expected))
    assert gaussian_shapes(timm.create_model("vit_tiny_patch16_224", **VIT), image()) is None


def test_models_without_a_grid_of_queries_are_refused():
    with pytest.raises(ValueError, match="SwinTransformer"):
        attention_maps(timm.create_model("swin_tiny_patch4_window7_224"), torch.randn(3, 224, 224))
    with pytest.raises(ValueError, match="CLS"):
        attention_maps(timm.create_model("vit_tiny_patch16_224", **VIT, class_token=False, global_pool="avg"), image())


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("locatvit_tiny", VIT, True),
        ("vit_tiny_patch16_224", VIT, True),
        ("vit_tiny_patch16_224", {**VIT, "class_token": False, "global_pool": "avg"}, False),
        ("swin_tiny_patch4_window7_224", {}, False),
        ("locatswin_tiny", {}, False),
    ],
)
def test_whether_there_is_a_cls_that_attends_is_known_beforehand(name, args, expected):
    model = timm.create_model(name, **args)
    assert cls_attends(model) is expected
    if expected:
        attention_maps(model, image())
