"""How fast a GPU trains a model: between two shares of what it can do at most.

The share that products of matrices reach is called MFU (model FLOPs utilisation). It grows with the model: in small
ones more of the time goes to element-wise work, to memory and to the host. The shares here are assumptions. One point
is known: compiled ViTs reach 22 % of an H100's peak in bf16.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from locat.contract.gpus import Gpu, Precision

ASSUMED = "h100"
"""The GPU of estimates where a pipeline names none."""


class Range(NamedTuple):
    """From the least to the most; both NaN where it is not known."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def is_known(self) -> bool:
        return not math.isnan(self.low + self.high)

    def plus(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


UNKNOWN = Range(math.nan, math.nan)
NOTHING = Range(0.0, 0.0)

_HALF_PRECISION = (
    (15e6, Range(0.06, 0.15)),
    (50e6, Range(0.10, 0.20)),
    (150e6, Range(0.15, 0.30)),
    (math.inf, Range(0.20, 0.45)),
)
"""Parameters up to which a model is of this size (Tiny, Small, Base, larger), and the MFU that it reaches in bf16 and
fp16, compiled or not."""
_FLOAT32 = Range(0.35, 0.70)
"""The same in float32, of any size: products take so long that less of the time goes to anything else."""


@dataclass(frozen=True)
class Speed:
    """Of one GPU, for one size of model in one precision."""

    gpu: Gpu
    precision: Precision
    mfu: Range

    def hours(self, operations: float) -> Range:
        """GPU-hours of so many floating-point operations."""
        fastest = operations / self.gpu.rate(self.precision) / 3600
        return Range(fastest / self.mfu.high, fastest / self.mfu.low)

    def __str__(self) -> str:
        least, most = (f"{share * 100:.0f}" for share in self.mfu)
        peak = f"{self.gpu.rate(self.precision) / 1e12:g} TFLOP/s in {self.precision}"
        return f"{self.gpu.name}, assumed to reach {least} to {most} % of {peak}"


def speed(gpu: Gpu, precision: Precision, parameters: float) -> Speed:
    """Of a model of so many parameters on `gpu`."""
    if gpu.rate(precision) <= gpu.fp32 * 1e12:  # float32, or a GPU that knows no bf16
        return Speed(gpu, precision, _FLOAT32)
    return Speed(gpu, precision, next(mfu for most, mfu in _HALF_PRECISION if parameters < most))
