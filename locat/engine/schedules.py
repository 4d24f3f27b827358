"""Learning rates and the like as pure functions of the update's number."""

import math

from locat.config.tasks import PretrainingConfig


def learning_rate(step: int, config: PretrainingConfig, *, total: int, steps_per_epoch: int) -> float:
    """The rate of an update of a training of `total` updates."""
    schedule, peak = config.schedule, config.optimizer.lr
    warmup = schedule.warmup_epochs * steps_per_epoch if schedule.warmup_steps is None else schedule.warmup_steps
    least = schedule.min_lr
    if schedule.name == "cosine":
        return cosine(step, total=total, start=peak, end=least, warmup=round(warmup))
    if schedule.name == "triangular" or step < warmup:
        return triangular(step, total=total, warmup=warmup, start=least, peak=peak, end=least)
    falls = 0
    if schedule.step_epochs is not None:
        falls = int((step - warmup) / (schedule.step_epochs * steps_per_epoch))
    return max(least, peak * schedule.step_factor**falls) if falls else peak


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
