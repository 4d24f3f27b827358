"""The operator `locat::gaussian_attention` on a CPU, against the bias and softmax in float64.

Each test runs with the compiled kernels and with torch's operations; test_native.py has more of the former.
"""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from locat.models.kernels import blocks, native
from locat.models.kernels.compiled import build
from locat.models.kernels.operator import gaussian_attention, gaussian_attention_backward
from support.attention_cases import Case, errors, relative
from support.cpu_kernels import FORMS, OF_TORCH, attending_by

SIDES = st.integers(1, 6)
GRIDS = st.tuples(SIDES, SIDES)
CASES = {
    "grid": GRIDS,
    "initial": st.tuples(st.integers(1, 9), st.integers(1, 9)),
    "prefix": st.integers(0, 6),
    "images": st.integers(1, 3),
    "heads": st.integers(1, 4),
    "head_dim": st.integers(1, 20),
    "seed": st.integers(0, 1000),
}


@pytest.fixture(autouse=True, scope="module", params=sorted({FORMS[0], OF_TORCH}))
def form(request):
    """What attends; memory that is asked for without being filled holds NaN."""
    if request.param != OF_TORCH and (obstacle := build.build()):
        pytest.skip(obstacle)
    native.loaded.cache_clear()
    torch.use_deterministic_algorithms(True)
    # What attends is chosen for a whole process; compiled graphs are kept for each.
    with attending_by(request.param), torch.compiler.config.patch(cache_key_tag=request.param):
        yield request.param
    torch.use_deterministic_algorithms(False)


@settings(max_examples=40)
@given(**CASES, logits=st.sampled_from([1, 40, 200, 2**17]), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_it_is_the_formula_in_blocks_of_any_size(logits, dtype, **case):
    blocks_of_before, blocks.LOGITS = blocks.LOGITS, logits
    try:
        assert errors(Case(**case, dtype=dtype)) < (1e-4 if dtype == torch.float32 else 1e-10)
    finally:
        blocks.LOGITS = blocks_of_before


@given(st.integers(0, 9), st.integers(1, 13), st.integers(1, 700), st.integers(1, 16))
def test_blocks_have_every_query_of_every_head_once(images, heads, tokens, threads):
    seen = torch.zeros(images, heads, tokens, dtype=torch.int)
    with mock.patch.object(torch, "get_num_threads", return_value=threads):
        for of_images, of_heads, flat, queries in blocks.blocks(images, heads, tokens):
            seen[of_images, of_heads, queries] += 1
            assert torch.equal(seen[of_images, of_heads].flatten(0, 1), seen.flatten(0, 1)[flat])
            assert (queries.stop - queries.start) % blocks.LANES == 0
    assert (seen == 1).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    assert errors(Case((4, 5), (4, 5), 1, heads=2, head_dim=16, dtype=dtype)) < 2e-2


@pytest.mark.parametrize("head_dim", [2, 8], ids=["weights computed again", "weights kept"])
def test_gradients_are_those_of_finite_differences(head_dim):
    case = Case((2, 5), (3, 3), 1, images=1, heads=2, head_dim=head_dim, dtype=torch.float64)

    def attend(*inputs):
        return gaussian_attention(*inputs, case.grid, case.initial, True)[0]

    assert torch.autograd.gradcheck(attend, case.inputs())


def test_weights_are_kept_only_for_a_backward_pass_and_where_they_are_small(form):
    if form != OF_TORCH:
        pytest.skip("the compiled kernels keep none")
    few, many = (Case((grid, 4), (4, 4), 1, head_dim=4) for grid in (3, 4))
    assert gaussian_attention(*few.inputs(), few.grid, few.initial, True)[1].shape == (4, 13, 16)
    assert gaussian_attention(*few.inputs(), few.grid, few.initial, False)[1].numel() == 0
    assert gaussian_attention(*many.inputs(), many.grid, many.initial, True)[1].numel() == 0


@pytest.mark.slow
@pytest.mark.parametrize("head_dim", [2, 8], ids=["weights computed again", "weights kept"])
def test_it_keeps_the_promises_of_an_operator(head_dim):
    case = Case((2, 3), (2, 3), 1, head_dim=head_dim)
    with torch.no_grad():
        out, kept = gaussian_attention(*case.inputs(), case.grid, case.initial, True)
    inputs = [part.detach() for part in case.inputs()]
    torch.library.opcheck(gaussian_attention, (*case.inputs(), [2, 3], [2, 3], True))
    torch.library.opcheck(gaussian_attention_backward, (case.weights, *inputs, out, kept, [2, 3], [2, 3]))


def test_it_is_recomputed_by_activation_checkpointing():
    case = Case((3, 3), (3, 3), 1)
    expected = case.exact()
    out = checkpoint(
        lambda *inputs: gaussian_attention(*inputs, case.grid, case.initial, True)[0],
        *(inputs := case.inputs()),
        use_reentrant=False,
    )
    for gradient, exact in zip(torch.autograd.grad(out, inputs, case.weights), expected[1:], strict=True):
        assert relative(gradient, exact) < 1e-6


@pytest.mark.slow
def test_it_compiles_as_one_graph_with_its_backward_pass():
    case = Case((3, 3), (3, 3), 1)

    def attend(*inputs):
        return gaussian_attention(*inputs, case.grid, case.initial, True)[0] * 2

    inputs = case.inputs()
    out = torch.compile(attend, fullgraph=True)(*inputs)
    gradients = torch.autograd.grad(out, inputs, case.weights / 2)
    for result, exact in zip((out / 2, *gradients), case.exact(), strict=True):
        assert relative(result, exact) < 1e-5
    torch.compiler.reset()


@pytest.mark.parametrize("extreme", ["narrow", "wide", "flat", "high", "sharp"])
def test_extreme_values_give_numbers(extreme):
    case = Case((4, 4), (4, 4), 1, heads=2, head_dim=8, extreme=extreme)
    assert all(torch.isfinite(part).all() for part in case.results())


def test_two_runs_give_the_same_bits():
    case = Case((6, 7), (6, 7), 1, heads=3, head_dim=16)
    assert all(torch.equal(*both) for both in zip(case.results(), case.results(), strict=True))


def test_its_flops_are_counted_as_those_of_attention():
    case = Case((3, 3), (3, 3), 1, head_dim=4)
    with FlopCounterMode(display=False) as counter:
        case.results()
    products = 2 + 5  # of N x N x head_dim, forward and backward
    assert counter.get_total_flops() == products * 2 * 2 * 2 * 10 * 10 * 4
