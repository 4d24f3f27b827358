"""Learning rates and the like as pure functions of the update's number."""

import math


def triangular(step: float, *, total: float, warmup: float, start: float, peak: float, end: float) -> float:
    """Linear from `start` at step 0 to `peak` at `warmup`, linear to `end` at `total`; constant outside."""
    if step < warmup:
        return start + (peak - start) * step / warmup
    if step >= total:
        return end
    return peak + (end - peak) * (step - warmup) / (total - warmup)


def one_cycle(step: int, *, total: int, peak: float, rise: float = 0.25, div: float = 1e4) -> float:
    """torch's linear OneCycleLR over `total` updates: up during the first `rise` of them, then down.

    It begins at peak / div and ends at peak / div**2 (docs/method.md section 5).
    """
    return triangular(step, total=total - 1, warmup=rise * total - 1, start=peak / div, peak=peak, end=peak / div**2)


def cosine(step: int, *, total: int, start: float, end: float, warmup: int = 0) -> float:
    """DINO's schedule: `warmup` updates, linear, the first at 0 and the last at `start`; then half a cosine.

    The cosine has `start` at update `warmup` and would have `end` at `total` (Caron et al. 2021, section 3.2).
    """
    if step < warmup:
        return start * step / max(warmup - 1, 1)
    return end + (start - end) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
