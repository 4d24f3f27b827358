"""GAug attention alone, forward and backward: ours beside plain attention, the materialised formula and others.

    python benchmarks/attention.py [--device cuda] [--batch 16] [--heads 3] [--grid 14] [--head-dim 64] [--compile]

One layer's attention with one [CLS] token, float32 on a CPU and bfloat16 on a GPU, from q, k and v to their gradients
and those of GAug's maps, which the plain form does not have. The forms take turns in every round; results go to
benchmarks/results/. On a GPU FlexAttention takes part. With TRITON_INTERPRET=1, and a tiny problem, the
Triton kernels run on a CPU: that they run is all it shows.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from attention_forms import FORMS, plain
from attention_measuring import compare, kept_bytes, peak_bytes, peaks, place, write
from torch import Tensor

from locat.models.gaug import GAug

PREFIX = 1
NEEDED = ("plain", "ours")
"""Forms without which there is nothing to compare; of the others it is noted why one does not run."""
PRODUCTS = 7
"""Matrix products of N x N x head_dim: 2 in the forward pass, 5 in the backward pass."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--grid", type=int, default=14, help="patches along each side")
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--compile", action="store_true", help="torch.compile every form")
    parser.add_argument("--name", help="of the result; made of the problem by default")
    options = parser.parse_args()
    torch.manual_seed(0)
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    gaug = GAug(options.head_dim, options.heads, device=options.device)
    tokens = PREFIX + options.grid**2
    shape = (options.batch, tokens, 3, options.heads, options.head_dim)
    qkv = torch.randn(shape, device=options.device, dtype=dtype, requires_grad=True)
    weights = torch.randn(shape[:2] + shape[3:], device=options.device, dtype=dtype).transpose(1, 2)

    names = [name for name in FORMS if name != "flex" or options.device == "cuda"]
    passes = {name: partial(forward, FORMS[name], gaug, options.grid, qkv) for name in names}
    if options.compile or options.device == "cuda":  # FlexAttention is meant to be compiled
        compiled = {name for name in names if options.compile or name == "flex"}
        passes = {name: torch.compile(run, dynamic=False) if name in compiled else run for name, run in passes.items()}
    steps = {name: partial(step, run, [qkv, *gaug.parameters()], weights) for name, run in passes.items()}
    failed = {name: why for name in names if name not in NEEDED and (why := failure(steps[name]))}
    names = [name for name in names if name not in failed]
    steps = {name: steps[name] for name in names}
    found = compare(steps, options.rounds, "plain")
    for name in names:
        found[name]["kept_mb"] = kept_bytes(passes[name]) / 1e6
        if options.device == "cuda":
            found[name]["peak_mb"] = peak_bytes(steps[name]) / 1e6
        if name != "plain" and "materialised" in names:
            found[name]["difference"] = largest_difference(passes[name](), passes["materialised"]())

    flops = PRODUCTS * 2 * options.batch * options.heads * tokens**2 * options.head_dim
    moved = 13 * qkv.numel() // 3 * qkv.element_size()  # q k v out; these, their gradients once more
    reached = peaks(options.device, dtype)
    floor = 1000 * max(flops / reached["flops_per_s"], moved / reached["bytes_per_s"])
    size = f"B{options.batch} H{options.heads} N{tokens} d{options.head_dim}"
    print(f"{options.device}, {str(dtype).removeprefix('torch.')}, {size}; no faster than {floor:.2f} ms")
    for name, values in found.items():
        print(
            f"{name:<13}{values['median_ms']:8.2f} ms {values['ratio']:6.2f} x plain {values['kept_mb']:8.1f} MB kept"
        )
    write(
        options.name or f"attention-{place(options.device)}-{size.replace(' ', '-').lower()}",
        options.device,
        {
            "what": "attention",
            "settings": vars(options) | {"dtype": str(dtype), "tokens": tokens},
            "forms": found,
            "failed": failed,
            "roofline": {"flops": flops, "bytes": moved, **reached, "floor_ms": floor},
        },
    )


def forward(attend: Callable[..., Tensor], gaug: GAug, side: int, qkv: Tensor) -> Tensor:
    """Attention from the product that a layer makes q, k and v with."""
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    grid = (side, side)
    with torch.autocast(q.device.type, q.dtype, enabled=q.dtype != torch.float32):
        if attend is plain:
            return plain(q, k, v)
        q = q.contiguous()  # as LocAt's attention layers do
        return attend(q, k, v, gaug(q, k, q, grid, grid), PREFIX)


def step(run: Callable[[], Tensor], inputs: list[Tensor], weights: Tensor) -> None:
    torch.autograd.grad(run(), inputs, weights, allow_unused=True)


def failure(run: Callable[[], None]) -> str:
    """Why a form does not run here, in one line; nothing if it does."""
    try:
        run()
    except Exception as error:  # a compiler's, of any kind
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def largest_difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


if __name__ == "__main__":
    main()
