"""A row of numbers as one line of text: a small picture of how they go."""

import math
import os
from collections.abc import Sequence
from typing import IO

from launcher.runs.course import Point

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-:=+*#"
BAD = "x"
"""What is not finite."""


def sparkline(points: Sequence[Point], width: int, ascii_only: bool) -> str:
    """A character for each point, or, where there are more than `width`, for each equal part of the steps.

    Args:
        points: steps, which only grow, each with its value. Parts without one look like the part before, of several
            values their mean counts. The largest is drawn highest, what is not finite as `BAD`.
        width: characters at most, at least one.
    """
    values = [value for _, value in points] if len(points) <= width else _parts(points, width)
    levels = ASCII if ascii_only else BLOCKS
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return BAD * len(values)
    low, high = min(finite), max(finite)
    return "".join(levels[_level(value, low, high)] if math.isfinite(value) else BAD for value in values)


def takes_ascii_only(stream: IO[str]) -> bool:
    """Whether a stream takes nothing else, or its user says so by LC_ALL."""
    if os.environ.get("LC_ALL", "") in ("C", "POSIX"):  # Python would speak UTF-8 all the same
        return True
    try:
        BLOCKS.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _parts(points: Sequence[Point], width: int) -> list[float]:
    first, last = points[0][0], points[-1][0]
    parts: list[list[float]] = [[] for _ in range(width)]
    for step, value in points:
        parts[min((step - first) * width // (last - first), width - 1)].append(value)
    values: list[float] = []
    for part in parts:
        values.append(_mean(part) if part else values[-1])  # the first part has the first point
    return values


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are finite, without leaving their range; NaN if none is."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan
    return min(max(sum(value / len(finite) for value in finite), min(finite)), max(finite))


def _level(value: float, low: float, high: float) -> int:
    half = high / 2 - low / 2  # the whole difference may be too large for a number
    return min(int((value / 2 - low / 2) / half * len(BLOCKS)), len(BLOCKS) - 1) if half else len(BLOCKS) // 2
