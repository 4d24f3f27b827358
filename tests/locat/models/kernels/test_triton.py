"""The Triton kernels against the bias and softmax in float64: on a GPU, or in Triton's interpreter.

Where there is neither, these tests are skipped here and run by `test_interpreted.py` in a process of their own.
"""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

from locat.models.kernels.operator import gaussian_attention
from support.attention_cases import EXTREMES, Case, errors, relative

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3}

pytestmark = [
    pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="run by test_interpreted.py"),
    *([pytest.mark.gpu] if DEVICE == "cuda" else []),
]


@pytest.fixture(autouse=True)
def poisoned():
    """Memory that is asked for without being filled holds NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True, scope="module")
def interpreter_that_multiplies_bfloat16():
    """Triton 3.9's interpreter holds bfloat16 as the integers of its bits, and multiplies these."""
    if not INTERPRETED:
        yield
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    def widened(handle):
        if handle.data.dtype != np.uint16:
            return handle
        return TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    original = InterpreterBuilder.create_dot
    InterpreterBuilder.create_dot = lambda self, a, b, *rest: original(self, widened(a), widened(b), *rest)
    yield
    InterpreterBuilder.create_dot = original


@pytest.mark.parametrize("extreme", EXTREMES)
def test_extreme_values_give_numbers(extreme):
    case = Case((4, 5), (4, 5), 1, head_dim=16, extreme=extreme, tilted=True, device=DEVICE)
    assert all(torch.isfinite(part).all() for part in case.results())


def test_two_runs_give_the_same_bits():
    case = Case((9, 8), (9, 8), 1, head_dim=16, device=DEVICE)
    assert all(torch.equal(*both) for both in zip(case.results(), case.results(), strict=True))


def test_inputs_may_lie_in_memory_as_they_like():
    case = Case((3, 4), (3, 4), 1, head_dim=16, device=DEVICE)
    turned = case.turned_inputs()
    out, _ = gaussian_attention(*turned, case.grid, case.initial, True)
    gradients = torch.autograd.grad(out, turned, case.weights.contiguous())
    for result, exact in zip((out, *gradients), case.exact(), strict=True):
        assert relative(result, exact) < 1e-5


def test_they_are_recomputed_by_activation_checkpointing():
    case = Case((3, 3), (3, 3), 1, head_dim=16, device=DEVICE)
    inputs = case.inputs()

    def attend(*inputs):
        return gaussian_attention(*inputs, case.grid, case.initial, True)[0]

    out = checkpoint(attend, *inputs, use_reentrant=False)
    for gradient, exact in zip(torch.autograd.grad(out, inputs, case.weights), case.exact()[1:], strict=True):
        assert relative(gradient, exact) < 1e-5


def test_they_compile_as_one_graph_with_their_backward_pass():
    case = Case((3, 3), (3, 3), 1, head_dim=16, device=DEVICE)

    def attend(*inputs):
        return gaussian_attention(*inputs, case.grid, case.initial, True)[0] * 2

    inputs = case.inputs()
    out = torch.compile(attend, fullgraph=True, backend="inductor" if DEVICE == "cuda" else "aot_eager")(*inputs)
    gradients = torch.autograd.grad(out, inputs, case.weights / 2)
    for result, exact in zip((out / 2, *gradients), case.exact(), strict=True):
        assert relative(result, exact) < 1e-5
    torch.compiler.reset()


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU: run on a machine that has one")
def test_a_cuda_graph_replays_them():
    case = Case((14, 14), (14, 14), 1, head_dim=64, dtype=torch.bfloat16, device=DEVICE)
    expected, graph = case.results(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        replayed = case.results()
    graph.replay()
    assert all(torch.equal(*both) for both in zip(replayed, expected, strict=True))


SIDES = st.integers(1, 9)


@settings(max_examples=20)
@given(
    grid=st.tuples(SIDES, SIDES),
    initial=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    prefix=st.integers(0, 6),
    images=st.integers(1, 2),
    heads=st.integers(1, 2),
    head_dim=st.integers(16, 128),
    dtype=st.sampled_from(list(TOLERANCES)),
    tilted=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_they_are_the_formula(dtype, **case):
    """The last one, for on a GPU nearly every case is compiled anew: where time ends, the others are known."""
    assert errors(Case(**case, dtype=dtype, device=DEVICE)) < TOLERANCES[dtype]
