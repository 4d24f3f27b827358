"""Backbones on images of sizes that they were not built for."""

import copy

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models.gcvit import GlobalContextVit
from torch.nn import functional as F

import locat.models  # noqa: F401
from locat.models.any_size import accept_any_size
from locat.models.convit import patch_offsets
from locat.models.create import load_backbone, save_model
from locat.models.segmentation_head import patch_dim, patch_features
from support.model_reference import fill_for_parity

CONVIT = {"img_size": 64, "embed_dim": 4, "num_heads": 4, "depth": 3, "local_up_to_layer": 2, "num_classes": 5}
GCVIT = {"embed_dim": 8, "depths": (1, 2, 2, 2), "num_heads": (1, 2, 2, 4), "num_classes": 5}
VIT = {"img_size": 64, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "num_classes": 5}
FOLDERS = {
    "vit_tiny_patch16_224": (VIT, 16),
    "locatvit_tiny": (VIT, 16),
    "locatvit_tiny_reg4": (VIT, 16),
    "locatvit_tiny_rope_mixed": (VIT, 16),
    "locatjumbo_tiny": (VIT, 16),
    "locatswin_tiny": (SWIN, 8),
    "convit_tiny": (CONVIT, 16),
    "gcvit_xxtiny": ({"img_size": 64, "embed_dim": 8, "num_classes": 5}, 32),
    "swin_tiny_patch4_window7_224": (SWIN, 8),
    "vit_tiny_patch16_nope_224": (VIT, 16),
    "locatvit_tiny_nope": (VIT, 16),
    "twins_pcpvt_small": ({"embed_dims": (8, 8, 8, 8), "num_heads": (1, 1, 1, 1), "num_classes": 5}, 32),
    "davit_tiny": ({"embed_dims": (8, 8, 8, 8), "num_heads": (1, 1, 1, 1), "num_classes": 5}, 32),
    "conformer_base": ({"embed_dim": 12, "num_heads": 2, "channels": 8, "num_classes": 5}, 16),
    "cvt_21": ({"depths": (1, 2, 3), "dims": (12, 12, 12), "num_classes": 5}, 16),
}
"""Arguments, and pixels of a patch's side."""


def images(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def filled(model):
    fill_for_parity(model)
    return model.eval()


def convit(**options):
    return filled(timm.create_model("convit_base", **{**CONVIT, **options}))


def gcvit(**options):
    return filled(GlobalContextVit(**{"img_size": 64, **GCVIT, **options}))


@pytest.mark.parametrize("new", [convit, gcvit])
@torch.no_grad()
def test_at_the_built_size_nothing_changes(new):
    model = new()
    expected = model(images(64, 64)), patch_features(model, images(64, 64))
    weights = copy.deepcopy(model.state_dict())
    accept_any_size(model)
    found = model(images(64, 64)), patch_features(model, images(64, 64))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.state_dict(), weights, rtol=0, atol=0)


@torch.no_grad()
def test_convit_is_one_built_for_that_size():
    model, built = convit(), convit(img_size=96)
    weights = dict(model.state_dict())
    weights["pos_embed"] = resample_abs_pos_embed(weights["pos_embed"], [6, 6], [4, 4], num_prefix_tokens=0)
    built.load_state_dict(weights)
    torch.testing.assert_close(patch_features(accept_any_size(model), images(96, 96)), built_features(built, 96, 96))


def built_features(model, height, width):
    return model.forward_intermediates(images(height, width), indices=1, intermediates_only=True)[0]


def test_offsets_are_columns_rows_and_squared_distance_to_the_key():
    offsets = patch_offsets(3, 5)
    for p in range(15):
        for t in range(15):
            x, y = t % 5 - p % 5, t // 5 - p // 5
            assert offsets[0, p, t].tolist() == [x, y, x**2 + y**2]
    assert torch.equal(
        patch_offsets(4, 4), timm.create_model("convit_base", **CONVIT).blocks[0].attn.get_rel_indices(16)
    )


@torch.no_grad()
def test_convit_knows_grids_of_as_many_patches_apart():
    """Transposing image, convolution and positions transposes the features."""
    model, turned = convit().double(), convit().double()
    turned.patch_embed.proj.weight.copy_(turned.patch_embed.proj.weight.mT.clone())
    turned.pos_embed.copy_(turned.pos_embed.unflatten(1, (4, 4)).transpose(1, 2).flatten(1, 2))
    for block in turned.blocks[:2]:
        block.attn.pos_proj.weight.copy_(block.attn.pos_proj.weight[:, [1, 0, 2]])
    accept_any_size(model)
    accept_any_size(turned)
    wide = images(32, 128).double()
    for x in (wide, images(64, 64).double(), wide):
        # timm resamples positions in float32.
        torch.testing.assert_close(patch_features(turned, x.mT).mT, patch_features(model, x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (96, 160), (32, 64)])
@torch.no_grad()
def test_gcvit_is_one_built_for_that_size(size):
    model, built = gcvit(), gcvit(img_size=size)
    weights = dict(model.state_dict())
    for name, block in model.named_modules():
        if name.endswith("rel_pos"):
            source = [2 * side - 1 for side in block.window_size]
            target = [2 * side - 1 for side in built.get_submodule(name).window_size]
            heads = [
                F.interpolate(head.view(1, 1, *source), target, mode="bicubic")
                for head in weights[f"{name}.relative_position_bias_table"].T
            ]
            weights[f"{name}.relative_position_bias_table"] = torch.cat(heads).flatten(1).T
    built.load_state_dict(weights)
    found = patch_features(accept_any_size(model), images(*size))
    torch.testing.assert_close(found, built_features(built, *size))
    assert found.abs().max() > 0.1


@pytest.mark.parametrize("name", FOLDERS)
def test_a_loaded_backbone_takes_any_size(name, tmp_path):
    arguments, patch = FOLDERS[name]
    saved = timm.create_model(name, **arguments).eval()
    save_model(saved, tmp_path, **arguments)
    backbone = load_backbone(tmp_path)[0].eval()
    with torch.inference_mode():
        torch.testing.assert_close(patch_features(backbone, images(64, 64)), patch_features(saved, images(64, 64)))
        for height, width in ((96, 128), (70, 101)):
            features = patch_features(backbone, images(height, width))
            assert features.shape == (2, patch_dim(backbone), -(-height // patch), -(-width // patch))
            assert features.isfinite().all()


@torch.no_grad()
def test_images_are_padded_with_zeros_to_whole_patches():
    model = accept_any_size(gcvit())
    padded = torch.zeros(2, 3, 96, 128)
    padded[:, :, :70, :101] = images(70, 101)
    torch.testing.assert_close(patch_features(model, images(70, 101)), patch_features(model, padded))


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "locatswin_tiny"])
@pytest.mark.parametrize("size", [(70, 101), (37, 53), (512 // 8, 683 // 8)])
@torch.no_grad()
def test_swin_pads_pixels_to_its_first_patches_and_tokens_where_it_merges_them(name, size, tmp_path):
    deep = {**SWIN, "depths": (2, 2, 2), "num_heads": (1, 2, 2)}
    saved = filled(timm.create_model(name, **deep))
    save_model(saved, tmp_path, **deep)
    model = load_backbone(tmp_path)[0].eval()
    height, width = size
    padded = torch.zeros(2, 3, height + -height % 4, width + -width % 4)
    padded[:, :, :height, :width] = images(height, width)
    tokens = model.patch_embed(padded)
    for number, stage in enumerate(model.layers):
        if number:  # merging takes pairs of rows and columns: what is odd gets zero tokens
            even = torch.zeros(2, -(-tokens.shape[1] // 2) * 2, -(-tokens.shape[2] // 2) * 2, tokens.shape[3])
            even[:, : tokens.shape[1], : tokens.shape[2]] = tokens
            tokens = even
        tokens = stage(tokens)
    found = patch_features(model, images(height, width))
    torch.testing.assert_close(found, tokens.permute(0, 3, 1, 2))
    assert found.shape[2:] == (-(-height // 16), -(-width // 16))


@pytest.mark.slow
@pytest.mark.parametrize("new", [convit, gcvit])
@torch.no_grad()
def test_it_compiles_in_one_graph(new):
    model = accept_any_size(new())
    compiled = torch.compile(lambda x: patch_features(model, x), fullgraph=True, dynamic=False, backend="eager")
    torch.testing.assert_close(compiled(images(64, 96)), patch_features(model, images(64, 96)))
