"""The compiled kernels on a CPU, for each instruction set that this machine has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.models.kernels import native
from locat.models.kernels.compiled import build
from locat.models.kernels.operator import gaussian_attention
from support.attention_cases import EXTREMES, Case, errors, relative
from support.cpu_kernels import COMPILED, OF_TORCH, attending_by

TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 2e-2}
SIDES = st.integers(1, 20)

pytestmark = pytest.mark.skipif(not COMPILED, reason="this processor has no AVX2")


@pytest.fixture(autouse=True, scope="module")
def kernels():
    """Compiled if they are not yet; memory that is asked for without being filled holds NaN."""
    if obstacle := build.build():
        pytest.skip(obstacle)
    native.loaded.cache_clear()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@settings(max_examples=60, deadline=None)
@given(
    grid=st.tuples(SIDES, SIDES),
    initial=st.tuples(SIDES, SIDES),
    prefix=st.integers(0, 6),
    images=st.integers(1, 2),
    heads=st.integers(1, 3),
    head_dim=st.integers(1, 70),
    dtype=st.sampled_from(list(TOLERANCES)),
    seed=st.integers(0, 1000),
    form=st.sampled_from(COMPILED),
)
def test_they_are_the_formula(form, dtype, **case):
    with attending_by(form):
        assert native.obstacle(dtype) is None
        assert errors(Case(**case, dtype=dtype)) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("form", COMPILED)
@pytest.mark.parametrize("side", [14, 32], ids=["N197", "N1025"])
def test_grids_of_classification_and_segmentation(side, form, dtype):
    with attending_by(form):
        case = Case((side, side), (14, 14), 1, images=1, heads=1, head_dim=64, dtype=dtype)
        assert errors(case) < TOLERANCES[dtype] / 5


@pytest.mark.parametrize("form", COMPILED)
def test_results_are_the_same_bits_on_any_number_of_threads(form):
    case = Case((15, 15), (15, 15), 2, images=2, heads=3, head_dim=24)
    before = torch.get_num_threads()
    results = []
    with attending_by(form):
        for threads in (1, 2, 3, 5, 1):
            torch.set_num_threads(threads)
            results.append(case.results())
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(*both) for both in zip(results[0], other, strict=True))


@pytest.mark.parametrize("form", COMPILED)
def test_a_batch_gives_each_image_what_it_gets_alone(form):
    case = Case((9, 9), (9, 9), 1, images=3, head_dim=16)
    q, k, v, shapes = (part.detach() for part in case.inputs())
    with attending_by(form):
        together = gaussian_attention(q, k, v, shapes, case.grid, case.initial, False)[0]
        for image in range(3):
            alone = (part[image : image + 1] for part in (q, k, v, shapes))
            assert torch.equal(gaussian_attention(*alone, case.grid, case.initial, False)[0][0], together[image])


@pytest.mark.parametrize("form", COMPILED)
def test_inputs_may_lie_in_memory_as_they_like(form):
    case = Case((3, 4), (3, 4), 1, head_dim=16)
    turned = case.turned_inputs()
    case.weights = torch.ones(1, 1, 1, 1).expand(case.weights.shape)  # as of a sum: every stride is 0
    with attending_by(form):
        out, _ = gaussian_attention(*turned, case.grid, case.initial, True)
        gradients = torch.autograd.grad(out, turned, case.weights)
    for result, exact in zip((out, *gradients), case.exact(), strict=True):
        assert relative(result, exact) < 1e-5


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("form", COMPILED)
def test_extreme_values_are_as_exact_as_those_of_torch(form, extreme):
    case = Case((4, 4), (4, 4), 1, heads=2, head_dim=8, extreme=extreme)
    with attending_by(OF_TORCH):
        of_torch = errors(case)
    with attending_by(form):
        assert errors(case) < max(1e-5, 2 * of_torch)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("form", COMPILED)
def test_what_is_not_finite_is_not_hidden(form, bad):
    """Training counts on it: it judges an update by the norm of all gradients."""
    for tensor in range(4):
        case = Case((4, 4), (4, 4), 1, head_dim=8)
        inputs = case.inputs()
        with torch.no_grad():
            inputs[tensor][1, 1, 3, 0] = bad
        with attending_by(form):
            out, _ = gaussian_attention(*inputs, case.grid, case.initial, True)
            gradients = torch.autograd.grad(out, inputs, case.weights)
        assert not all(torch.isfinite(gradient[1, 1]).all() for gradient in gradients)
        assert all(torch.isfinite(part[0]).all() for part in (out, *gradients))


@pytest.mark.parametrize("images", [0, 1])
def test_few_images_are_no_special_case(images):
    case = Case((1, 1), (1, 1), 0, images=images, heads=1, head_dim=1)
    assert [part.shape[0] for part in case.results()] == [images] * 5


def test_what_is_kept_is_one_number_of_each_query():
    case = Case((3, 3), (3, 3), 1, dtype=torch.bfloat16)
    kept = gaussian_attention(*case.inputs(), case.grid, case.initial, True)[1]
    assert (kept.shape, kept.dtype) == ((2, 2, 10), torch.float32)


def test_a_library_that_does_not_load_is_a_reason_and_no_error(monkeypatch, tmp_path):
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"not a library")
    for library, why in ((damaged, "cannot be loaded"), (None, "were not compiled")):
        monkeypatch.setattr(build, "built", lambda _instructions, library=library: library)
        native.loaded.cache_clear()
        assert why in native.obstacle(torch.float32)
        case = Case((3, 3), (3, 3), 1)
        assert errors(case) < 1e-4
    native.loaded.cache_clear()
