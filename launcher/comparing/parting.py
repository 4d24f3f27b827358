"""The first step at which two jobs' losses part, by the very numbers that they recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.comparing.numbers import Log

NEEDLES = ("loss", "val/")
"""Metrics are compared whose name has the first in it or begins with the second: no speeds, which always differ."""


@dataclass(frozen=True)
class Parting:
    """How far two jobs' numbers are the same."""

    equal: int
    """Numbers that both recorded and that are the same, before they part."""
    step: int | None = None
    """Where they part; if they do not, the last step that both recorded, and None if there is none."""
    metric: str = ""
    """Which of them; empty if they do not part."""
    a: float | None = None
    b: float | None = None


def parting(a: Path, b: Path) -> Parting:
    """The first step at which two logs of metrics hold another number for the same metric.

    Raises:
        FormatError: one is no log of metrics.
    """
    of_a, of_b = dict(_numbers(a)), dict(_numbers(b))
    common = sorted(of_a.keys() & of_b.keys())
    for equal, (step, metric) in enumerate(common):
        one, other = of_a[step, metric], of_b[step, metric]
        if one != other and (one == one or other == other):  # NaN is not the same as a number
            return Parting(equal, step, metric, one, other)
    return Parting(len(common), common[-1][0] if common else None)


def _numbers(path: Path) -> Iterator[tuple[tuple[int, str], float]]:
    """Each (step, metric) with its number."""
    for record in Log(path).newest_first(NEEDLES):
        yield from (((record.step, name), value) for name, value in record.metrics.items() if _is_compared(name))


def _is_compared(name: str) -> bool:
    loss, evaluation = NEEDLES
    return loss in name or name.startswith(evaluation)
