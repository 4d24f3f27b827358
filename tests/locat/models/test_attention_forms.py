"""Every attention layer with GAug against the literal formula, over random shapes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Attention, AttentionRope, LayerNorm, apply_rot_embed_cat
from timm.models.eva import EvaAttention
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

from locat.models.attach import LOCAT_FORMS, new_gaug
from locat.models.attention import PatchGrid
from locat.models.gaug import GAug
from support.model_reference import attention, gaug_bias

SIDES = st.integers(1, 4)
SHAPES = {"height": SIDES, "width": SIDES, "prefix": st.integers(0, 6), "heads": st.integers(1, 3)}


def locat_form(layer, grid, initial, prefix):
    """`layer` with GAug in float64, every parameter random, told its grid as a model would."""
    layer.double()
    layer.__class__ = LOCAT_FORMS[type(layer)]
    layer.gaug = new_gaug(GAug, layer, "paper")
    layer.num_prefix_tokens = prefix
    layer.patch_grid = PatchGrid()
    layer.patch_grid(FakePatchEmbed(grid, initial), (torch.empty(1, 3, 1, 1),), torch.empty(0))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


class FakePatchEmbed:
    def __init__(self, grid, initial):
        self.grid, self.grid_size = grid, initial

    def dynamic_feat_size(self, _image_size):
        return self.grid


def literal(layer, q, k, v, grid, initial, prefix, rotate=lambda heads: heads):
    patches = q[:, :, prefix:]
    bias = gaug_bias(layer.gaug.log_var(patches), layer.gaug.log_alpha(patches), grid, initial, prefix)
    return layer.proj(attention(rotate(q), rotate(k), v, bias).transpose(1, 2).flatten(2))


def split(qkv, heads):
    return qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)


@settings(max_examples=20, deadline=None)
@given(**SHAPES, initial=st.tuples(st.integers(2, 9), st.integers(2, 9)), qk_norm=st.booleans())
def test_vit_attention(height, width, prefix, heads, initial, qk_norm):
    layer = Attention(heads * 4, heads, qkv_bias=True, qk_norm=qk_norm, norm_layer=LayerNorm)
    layer = locat_form(layer, (height, width), initial, prefix)
    x = torch.randn(2, prefix + height * width, heads * 4, dtype=torch.float64)
    q, k, v = split(layer.qkv(x), heads)
    expected = literal(layer, layer.q_norm(q), layer.k_norm(k), v, (height, width), initial, prefix)
    torch.testing.assert_close(layer(x), expected)


@settings(max_examples=20, deadline=None)
@given(**SHAPES, kind=st.sampled_from(["rope", "rope unfused", "rope grouped", "eva", "eva unfused", "eva unbiased"]))
def test_rotary_attention_reads_queries_before_rotation(height, width, prefix, heads, kind):
    fused = "unfused" not in kind and "grouped" not in kind
    options = {"qkv_fused": fused, "qkv_bias": "unbiased" not in kind, "num_prefix_tokens": prefix}
    if kind.startswith("rope"):
        layer = AttentionRope(heads * 4, heads, num_kv_heads=1 if "grouped" in kind else None, **options)
    else:
        layer = EvaAttention(heads * 4, heads, scale_norm=False, **options)
    plain = layer.double()
    rope = torch.randn(height * width, 8, dtype=torch.float64)
    x = torch.randn(2, prefix + height * width, heads * 4, dtype=torch.float64)
    layer = locat_form(plain, (height, width), (5, 5), prefix)
    q, k, v = layer.project(x)

    def rotate(heads):
        return torch.cat([heads[:, :, :prefix], apply_rot_embed_cat(heads[:, :, prefix:], rope)], dim=2)

    expected = literal(layer, q, k, v, (height, width), (5, 5), prefix, rotate)
    torch.testing.assert_close(layer(x, rope=rope), expected)
    with torch.no_grad():
        layer.gaug.log_alpha.weight.zero_()
        layer.gaug.log_alpha.bias.fill_(-1000.0)
    without = layer(x, rope=rope)
    layer.__class__ = next(timm_class for timm_class, form in LOCAT_FORMS.items() if form is type(layer))
    torch.testing.assert_close(without, layer(x, rope=rope))


@settings(max_examples=10, deadline=None)
@given(window=st.integers(2, 3), windows=st.tuples(SIDES, SIDES), shifted=st.booleans(), heads=st.integers(1, 3))
def test_window_attention_adds_to_relative_positions_and_the_shift_mask(window, windows, shifted, heads):
    resolution = (window * windows[0], window * windows[1])
    block = SwinTransformerBlock(
        heads * 4, resolution, heads, window_size=window, shift_size=1 if shifted else 0, always_partition=True
    ).double()
    layer, mask = block.attn, block.attn_mask
    count = windows[0] * windows[1]
    x = torch.randn(2 * count, window * window, heads * 4, dtype=torch.float64)
    layer.__class__ = LOCAT_FORMS[type(layer)]
    layer.gaug = new_gaug(GAug, layer, "paper")
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)

    q, k, v = split(layer.qkv(x), heads)
    bias = gaug_bias(layer.gaug.log_var(q), layer.gaug.log_alpha(q), (window, window), (window, window), 0)
    bias = bias + layer.relative_position_bias_table[layer.relative_position_index].permute(2, 0, 1)
    if mask is not None:
        for index in range(len(x)):
            bias[index] += mask[index % count]
    expected = layer.proj(attention(q, k, v, bias).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, mask=mask), expected)


def test_causal_attention_is_refused():
    layer = locat_form(Attention(8, 2), (2, 2), (2, 2), 0)
    with pytest.raises(NotImplementedError, match="causal"):
        layer(torch.randn(1, 4, 8, dtype=torch.float64), is_causal=True)


def test_gaussians_change_what_is_attended():
    layer = locat_form(Attention(8, 2), (3, 3), (3, 3), 1)
    x = torch.randn(1, 10, 8, dtype=torch.float64)
    near = layer(x)
    layer.gaug.log_alpha.bias.data.fill_(-math.inf)
    assert (near - layer(x)).abs().max() > 1e-3
