"""Rotated Gaussians against the inverse covariance, and against the axis-aligned kernel."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.models.gaug import GAug, epsilon
from locat.models.rotated import Rotated

SIDES = st.integers(1, 4)


def rotated_and_queries(height, width, seed):
    torch.manual_seed(seed)
    rotated = Rotated(4, 2, dtype=torch.float64)
    for parameter in rotated.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return rotated, torch.randn(1, 2, height * width, 4, dtype=torch.float64)


@settings(max_examples=20, deadline=None)
@given(height=SIDES, width=SIDES, prefix=st.integers(0, 2), seed=st.integers(0, 100))
def test_the_kernel_is_that_of_the_covariance(height, width, prefix, seed):
    rotated, q = rotated_and_queries(height, width, seed)
    initial = (100, 100)  # so large that nothing is clamped
    scale = min(height, width) / 100
    bias = rotated(q, q, q, (height, width), initial).bias(prefix)[:, :, prefix:, prefix:]
    read = rotated.read(q, q)
    variance = rotated.variance(read, q, initial) * scale + epsilon(initial)
    for p in range(height * width):
        cholesky = torch.diag_embed(variance[0, 0, p].sqrt())
        cholesky[1, 0] = rotated.off_diagonal(q)[0, 0, p, 0] * scale**0.5
        precision = torch.linalg.inv(cholesky @ cholesky.T)
        for t in range(height * width):
            offset = torch.tensor([t // width - p // width, t % width - p % width], dtype=torch.float64)
            expected = rotated.alpha(read, q, q)[0, 0, p, 0] * torch.exp(-0.5 * offset @ precision @ offset)
            torch.testing.assert_close(bias[0, 0, p, t], expected, rtol=1e-8, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(height=SIDES, width=SIDES, initial=st.tuples(st.integers(2, 5), st.integers(2, 5)), seed=st.integers(0, 100))
def test_without_off_diagonal_it_is_gaug(height, width, initial, seed):
    rotated, q = rotated_and_queries(height, width, seed)
    torch.nn.init.zeros_(rotated.off_diagonal.weight)
    torch.nn.init.zeros_(rotated.off_diagonal.bias)
    aligned = GAug(4, 2, dtype=torch.float64)
    aligned.load_state_dict({key: value for key, value in rotated.state_dict().items() if "off_diagonal" not in key})
    arguments = (q, q, q, (height, width), initial)
    torch.testing.assert_close(rotated(*arguments).bias(1), aligned(*arguments).bias(1))


def test_a_new_one_starts_axis_aligned_and_learns_to_tilt():
    rotated = Rotated(4, 2)
    q = torch.randn(1, 2, 9, 4)
    bias = rotated(q, q, q, (3, 3), (3, 3)).bias(0)
    assert torch.equal(rotated.off_diagonal(q), torch.zeros(1, 2, 9, 1))
    (bias * torch.randn_like(bias)).sum().backward()
    assert rotated.off_diagonal.weight.grad.abs().sum() > 0
