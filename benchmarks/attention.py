"""Separable GAug against the same bias from materialised distances and against plain attention, in one run.

    python benchmarks/attention.py [--device cuda] [--batch 16] [--heads 3] [--grid 14] [--head-dim 64]

Times forward and backward of one layer's attention (float32 on CPU, bfloat16 on GPU), one [CLS] token, as
ratios to plain scaled_dot_product_attention. "Materialised" builds the (N, N, 2) exponents of every query, as
the formula is written. Each figure is the median of the rounds, in which the three take turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.models.attention import gaussian_attention
from locat.models.gaug import GAug, bounded_variance, epsilon

ROUNDS = 15
PREFIX = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--grid", type=int, default=14, help="patches along each side")
    parser.add_argument("--head-dim", type=int, default=64)
    options = parser.parse_args()
    torch.manual_seed(0)
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    gaug = GAug(options.head_dim, options.heads, device=options.device, dtype=dtype)
    shape = (3, options.batch, options.heads, PREFIX + options.grid**2, options.head_dim)
    qkv = torch.randn(shape, device=options.device, dtype=dtype, requires_grad=True)

    forms: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "plain": F.scaled_dot_product_attention,
        "separable": partial(separable, gaug, options.grid),
        "materialised": partial(materialised, gaug, options.grid),
    }
    difference = (forms["separable"](*qkv) - forms["materialised"](*qkv)).abs().max().item()
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            times[name].append(seconds(partial(step, form, qkv)))
    median = {name: statistics.median(rounds) for name, rounds in times.items()}
    size = f"B{options.batch} H{options.heads} N{shape[3]} d{options.head_dim}"
    print(f"{options.device}, {str(dtype).removeprefix('torch.')}, {size}; largest difference {difference:.1e}")
    for name, value in median.items():
        print(f"{name:<13}{1000 * value:8.2f} ms  {value / median['plain']:5.2f} x plain")


def separable(gaug: GAug, side: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What the models run."""
    patches = q[:, :, PREFIX:]
    return gaussian_attention(q, k, v, gaug(patches, k, q, (side, side), (side, side)), PREFIX)


def materialised(gaug: GAug, side: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The formula as it is written: distances (P, P, 2), exponents of every query."""
    patches = q[:, :, PREFIX:]
    axis = torch.arange(side, device=q.device)
    positions = torch.cartesian_prod(axis, axis).float()
    distances = (positions[:, None] - positions) ** 2
    variance = bounded_variance(gaug.log_var(patches).float(), (side, side)) + epsilon((side, side))
    alpha = F.softplus(gaug.log_alpha(patches).float())
    bias = alpha * torch.exp(-0.5 * (distances / variance.unsqueeze(-2)).sum(-1))
    return F.scaled_dot_product_attention(q, k, v, F.pad(bias, (PREFIX, 0, PREFIX, 0)).to(q.dtype))


def step(form: Callable[[Tensor, Tensor, Tensor], Tensor], qkv: Tensor) -> None:
    torch.autograd.backward(form(*qkv).sum())


def seconds(step: Callable[[], None]) -> float:
    """Wall time of one step, the device's work included."""
    synchronize()
    start = time.perf_counter()
    step()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
