import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from locat.engine.strategies.clipping import clip_gradients


def gradients(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2, 2, 2), (1,))]


@given(seed=st.integers(0, 1000), limit=st.floats(0.1, 20))
def test_the_global_norm_is_clipped_as_torch_does(seed: int, limit: float) -> None:
    found = gradients(seed)
    parameters = [nn.Parameter(torch.zeros_like(each)) for each in found]
    for parameter, gradient in zip(parameters, copy.deepcopy(found), strict=True):
        parameter.grad = gradient
    expected = nn.utils.clip_grad_norm_(parameters, limit)
    torch.testing.assert_close(clip_gradients(found, limit, "global"), expected)
    torch.testing.assert_close(found, [parameter.grad for parameter in parameters])


@given(seed=st.integers(0, 1000), limit=st.floats(0.1, 4))
def test_each_tensor_is_clipped_by_itself_and_the_norm_is_still_that_of_all(seed: int, limit: float) -> None:
    found, before = gradients(seed), gradients(seed)
    norm = clip_gradients(found, limit, "tensor")
    torch.testing.assert_close(norm, torch.cat([each.flatten() for each in before]).norm())
    for one, other in zip(found, before, strict=True):
        largest = other.norm().item()
        torch.testing.assert_close(one, other * limit / (largest + 1e-6) if largest > limit else other)


@pytest.mark.parametrize("of", ["global", "tensor"])
def test_no_limit_changes_nothing(of: str) -> None:
    found = gradients(0)
    clip_gradients(found, 0.0, of)
    torch.testing.assert_close(found, gradients(0), rtol=0, atol=0)
