"""PRR against its formula and against timm's own PRR pool."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import AttentionPoolPrr, SelectAdaptivePool2d

from locat.models.prr import PRR, PRRMapPool
from support.model_reference import prr


@settings(max_examples=30, deadline=None)
@given(
    tokens=st.integers(1, 12), heads=st.integers(1, 4), head_dim=st.integers(1, 6), kept=st.integers(1, 6),
    seed=st.integers(0, 100),
)  # fmt: skip
def test_kept_rows_are_those_of_the_full_formula(tokens, heads, head_dim, kept, seed):
    torch.manual_seed(seed)
    x = torch.randn(2, tokens, heads * head_dim, dtype=torch.float64, requires_grad=True)
    pooled, expected = PRR(heads, slice(0, kept))(x), prr(x, heads)[:, :kept].flatten(1)
    torch.testing.assert_close(pooled, expected)
    weights = torch.randn_like(pooled)
    (gradient,) = torch.autograd.grad((pooled * weights).sum(), x)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_it_is_timms_prr_pool(pool):
    x = torch.randn(3, 7, 12)
    ours = PRR(4, slice(0, 1) if pool == "token" else slice(None), average=pool == "avg")
    torch.testing.assert_close(ours(x), AttentionPoolPrr(12, 4, pool_type=pool)(x))


def test_a_closed_gate_lets_nothing_in_and_learns():
    x = torch.randn(2, 5, 8)
    pool = PRR(2, slice(0, 1), gated=True)
    assert torch.equal(pool(x), x[:, 0])
    pool(x).sum().backward()
    assert pool.gate.grad.abs() > 0
    with torch.no_grad():
        pool.gate.fill_(1)
    torch.testing.assert_close(pool(x), prr(x, 2)[:, 0])


def test_feature_maps_are_refined_before_their_average():
    x = torch.randn(2, 3, 4, 8)
    pool = PRRMapPool(SelectAdaptivePool2d(pool_type="avg", flatten=True, input_fmt="NHWC"), num_heads=2)
    torch.testing.assert_close(pool(x), prr(x.flatten(1, 2), 2).mean(1))
