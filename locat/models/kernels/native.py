"""GAug attention on a CPU by the kernels of `compiled`, on torch's own threads.

The library knows nothing of torch, so that a new torch needs no new one: it is given pointers, and torch's function
that spreads work over threads. Which instructions are used is torch's choice; `ATEN_CPU_CAPABILITY` restricts both.
"""

# mypy: disallow-untyped-decorators=False

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from locat.models.gaug import Grid, largest_numerator
from locat.models.kernels.blocks import token_major
from locat.models.kernels.compiled import build

KINDS = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}
"""The kernels' numbers of the types that they read and write."""


class Strided(ctypes.Structure):
    """As in problem.h."""

    _fields_ = (("data", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("image", "head", "token")))


class Problem(ctypes.Structure):
    """As in problem.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "heads", "tokens", "head_dim", "rows", "columns")),
        ("largest_numerator", ctypes.c_double),
        *((name, Strided) for name in ("q", "k", "v", "out", "d_out", "d_q", "d_k", "d_v")),
        *((name, ctypes.c_void_p) for name in ("shapes", "kept", "d_shapes")),
    )


@cache
def loaded(instructions: str) -> Any:
    """The kernels for these instructions and torch's threads, or a str: why they cannot be used."""
    if instructions not in build.INSTRUCTIONS:
        return "this processor has no AVX2"
    library = build.built(instructions)
    if library is None:
        return f"the kernels were not compiled (python {build.__file__})"
    try:
        attend = ctypes.CDLL(str(library)).locat_attention
        threads = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).torch_parallel_for
    except (OSError, AttributeError) as error:
        return f"the kernels cannot be loaded: {error}"
    attend.restype = ctypes.c_bool
    attend.argtypes = [ctypes.POINTER(Problem), ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool]
    return attend, threads


def instructions() -> str:
    """torch's name of the instruction set that it uses."""
    return torch.backends.cpu.get_cpu_capability()


def obstacle(dtype: torch.dtype) -> str | None:
    """Why the kernels cannot attend among tensors of this type, if so."""
    if dtype not in KINDS:
        return f"the kernels know no {str(dtype).removeprefix('torch.')}"
    found = loaded(instructions())
    return found if isinstance(found, str) else None


def kept_like(q: Tensor, _differentiable: bool) -> Tensor:
    """Room for what is kept: of each query the logarithm, in base 2, of its sum of exponentials (B, H, N)."""
    return q.new_empty(q.shape[:3], dtype=torch.promote_types(q.dtype, torch.float32))


def gradient_like(q: Tensor) -> Tensor:
    """Room for a gradient of q, k or v; it lies in memory as (B, N, H, head_dim)."""
    return token_major(q)


def forward(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid, differentiable: bool
) -> tuple[Tensor, Tensor]:
    """As `locat::gaussian_attention`."""
    out, kept = token_major(q), kept_like(q, differentiable)
    call(grid, initial_grid, False, {"q": q, "k": k, "v": v, "out": out}, {"shapes": shapes, "kept": kept})
    return out, kept


def backward(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, out: Tensor, kept: Tensor,
    grid: Grid, initial_grid: Grid,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k, v and shapes."""
    d_q, d_k, d_v = (gradient_like(q) for _ in range(3))
    d_shapes = torch.empty_like(shapes, memory_format=torch.contiguous_format)
    read = {"q": q, "k": k, "v": v, "out": out, "d_out": out_gradient}
    whole = {"shapes": shapes, "kept": kept, "d_shapes": d_shapes}
    call(grid, initial_grid, True, read | {"d_q": d_q, "d_k": d_k, "d_v": d_v}, whole)
    return d_q, d_k, d_v, d_shapes


def call(grid: Grid, initial_grid: Grid, backward: bool, by_token: dict[str, Tensor], whole: dict[str, Tensor]) -> None:
    """Run a pass over tensors of shape (B, H, N, head_dim), and over contiguous ones, by their names in Problem."""
    # What is written has a contiguous head_dim; a copy of what is read lives until the kernels return.
    rows = {name: part if part.stride(3) == 1 else part.contiguous() for name, part in by_token.items()}
    flat = {name: part.contiguous() for name, part in whole.items()}
    q = rows["q"]
    problem = Problem(
        *q.shape, *grid, largest_numerator(initial_grid),
        **{name: Strided(part.data_ptr(), *part.stride()[:3]) for name, part in rows.items()},
        **{name: part.data_ptr() for name, part in flat.items()},
    )  # fmt: skip
    attend, threads = loaded(instructions())
    if not attend(problem, threads, KINDS[q.dtype], backward):
        raise MemoryError("there is no memory for the blocks of attention's logits")
