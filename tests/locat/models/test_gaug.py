"""The separable arithmetic against the literal formula: values, gradients, grids other than the initial one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.models.attention import gaussian_attention
from locat.models.gaug import GAug, axis_numerators, bounded_variance, epsilon
from support import model_reference as reference

SIDES = st.integers(1, 5)
GRIDS = st.tuples(SIDES, SIDES)


def random_gaug(head_dim: int, heads: int) -> GAug:
    gaug = GAug(head_dim, heads, dtype=torch.float64)
    for parameter in gaug.parameters():
        torch.nn.init.normal_(parameter)
    return gaug


@settings(max_examples=40, deadline=None)
@given(
    grid=GRIDS,
    initial=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    prefix=st.integers(0, 6),
    heads=st.integers(1, 3),
    head_dim=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_bias_and_its_gradients_are_the_formula(grid, initial, prefix, heads, head_dim, seed):
    torch.manual_seed(seed)
    gaug = random_gaug(head_dim, heads)
    q = (3 * torch.randn(2, heads, grid[0] * grid[1], head_dim, dtype=torch.float64)).requires_grad_()
    inputs = [q, *gaug.parameters()]

    bias = gaug(q, q, q, grid, initial).bias(prefix)
    expected = reference.gaug_bias(gaug.log_var(q), gaug.log_alpha(q), grid, initial, prefix)
    torch.testing.assert_close(bias, expected, rtol=1e-9, atol=1e-12)

    weights = torch.randn_like(bias)
    for gradient, expected_gradient in zip(
        torch.autograd.grad((bias * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-11)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    gaug = random_gaug(4, 2)
    q, k, v = (torch.randn(1, 2, 7, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))

    def attend(q, k, v, *_parameters):
        patches = q[:, :, 1:]
        return gaussian_attention(q, k, v, gaug(patches, patches, patches, (2, 3), (3, 3)), 1)

    assert torch.autograd.gradcheck(attend, (q, k, v, *gaug.parameters()))


@pytest.mark.parametrize(("size", "eps"), [(14, 0.1), (26, 0.1), (27, 0.2), (32, 0.2), (64, 0.4), (1, 0.1)])
def test_epsilon_follows_the_grid(size, eps):
    assert epsilon((size, 2)) == epsilon((1, size)) == pytest.approx(eps)


def test_variance_is_one_at_zero_and_bounded_by_the_larger_side():
    log_var = torch.tensor([-80.0, 0.0, 80.0], dtype=torch.float64)
    torch.testing.assert_close(
        bounded_variance(log_var, (14, 7)), torch.tensor([0.0, 1.0, 196.0], dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_a_grid_of_one_patch_has_variance_one():
    log_var = torch.randn(3, requires_grad=True)
    variance = bounded_variance(log_var, (1, 1))
    variance.sum().backward()
    assert variance.tolist() == [1, 1, 1]
    assert log_var.grad.tolist() == [0, 0, 0]


def test_numerators_are_clamped_to_what_the_initial_grid_reaches():
    like = torch.empty(0, dtype=torch.float64)
    assert axis_numerators(4, (4, 4), like)[0].tolist() == [0, -0.5, -2, -4.5]
    assert axis_numerators(6, (3, 4), like)[0].tolist() == [0, -0.5, -2, -4.5, -4.5, -4.5]
    assert axis_numerators(200, (200, 200), like).min() == -6550


def test_variance_scales_with_the_shorter_side_of_the_grid():
    gaug = GAug(4, 1, dtype=torch.float64)
    torch.nn.init.zeros_(gaug.log_var.weight)
    q = torch.zeros(1, 1, 6 * 8, 4, dtype=torch.float64)
    columns = gaug(q, q, q, (6, 8), (3, 5)).columns
    assert columns[0, 0, 0, 1].item() == pytest.approx(math.exp(-0.5 / (2 * 1 + 0.1)))


def test_alpha_and_kernel_stay_float32_under_autocast():
    torch.manual_seed(0)
    gaug = GAug(8, 2)
    q = torch.randn(1, 2, 9, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gaussians = gaug(q.bfloat16(), q.bfloat16(), q, (3, 3), (3, 3))
    assert gaussians.rows.dtype == gaussians.columns.dtype == torch.float32
    exact = gaug(q, q, q, (3, 3), (3, 3))
    torch.testing.assert_close(gaussians.bias(1), exact.bias(1), atol=0.02, rtol=0.02)


def test_masks_add_to_the_gaussians():
    torch.manual_seed(0)
    gaug = random_gaug(4, 2)
    q, k, v = (torch.randn(2, 2, 5, 4, dtype=torch.float64) for _ in range(3))
    gaussians = gaug(q[:, :, 1:], k[:, :, 1:], q, (2, 2), (2, 2))
    allowed = torch.rand(5, 5) > 0.3
    allowed.fill_diagonal_(True)
    added = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    blocked = gaussians.bias(1).masked_fill(~allowed, -math.inf)
    torch.testing.assert_close(
        gaussian_attention(q, k, v, gaussians, 1, allowed), reference.attention(q, k, v, blocked)
    )
    torch.testing.assert_close(
        gaussian_attention(q, k, v, gaussians, 1, added), reference.attention(q, k, v, gaussians.bias(1) + added)
    )


def test_the_paper_counts_2340_parameters_in_12_blocks():
    assert 12 * sum(parameter.numel() for parameter in GAug(64, 3).parameters()) == 2340
