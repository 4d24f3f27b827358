"""Pillow's antialiased resampling of a part of an image, equal bit by bit, compiled and free of Python's lock.

Separable: along the rows first, then along the columns, both with weights of 22 fractional bits and a
result rounded to uint8. Along the columns whole rows are added up, which the compiler makes into vector
instructions; for the same along the rows, ROWS of them are turned on their side at a time.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from locat.data.compiled import compiled

BILINEAR, BICUBIC = 2, 3  # Pillow's own numbers
CHANNELS = 3
PRECISION = 22
ROWS = 64

Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
"""For each output pixel the first input pixel it looks at, and how many, (count,); their weights (count, most)."""


@compiled
def resample(image: NDArray[np.uint8], width: int, cut: Any, out: NDArray[np.uint8]) -> None:
    """Write one cut of an image.

    Args:
        image: flat RGB pixels, of the rows down to the cut's last one at least.
        width: of the image in pixels.
        cut: a record of `views.CUT`.
        out: flat RGB pixels, of out_height * out_width at least.
    """
    if cut.height == cut.whole_height and cut.width == cut.whole_width:
        copy(image, width, cut, out)
        return
    down = taps(cut.height, cut.whole_height, cut.out_top, cut.out_height, cut.filter)
    along = taps(cut.width, cut.whole_width, cut.out_left, cut.out_width, cut.filter)
    if cut.flip:
        along = (along[0][::-1].copy(), along[1][::-1].copy(), along[2][::-1].copy())
    first, last = down[0][0], down[0][-1] + down[1][-1]
    stride = width * CHANNELS
    start = (cut.top + first) * stride + cut.left * CHANNELS
    between = np.empty((last - first, cut.out_width * CHANNELS), np.uint8)
    add_along_rows(image, start, stride, cut.width * CHANNELS, along, between)
    add_rows(between, first, down, out)


@compiled
def copy(image: NDArray[np.uint8], width: int, cut: Any, out: NDArray[np.uint8]) -> None:
    """Write a cut whose size does not change."""
    length = np.uint64(cut.out_width * CHANNELS)
    for row in range(cut.out_height):
        start = np.uint64(((cut.top + cut.out_top + row) * width + cut.left + cut.out_left) * CHANNELS)
        to = np.uint64(row) * length
        if cut.flip:
            for at in range(np.uint64(0), length, np.uint64(CHANNELS)):
                opposite = start + length - at - np.uint64(CHANNELS)
                for channel in range(np.uint64(CHANNELS)):
                    out[to + at + channel] = image[opposite + channel]
        else:
            for at in range(length):
                out[to + at] = image[start + at]


@compiled
def taps(size: int, whole: int, first: int, count: int, kind: int) -> Taps:
    """What `count` output pixels from `first` on are made of, when `size` pixels become `whole`."""
    scale = size / whole
    stretch = max(scale, 1.0)
    narrower = 1.0 / stretch
    support = (1.0 if kind == BILINEAR else 2.0) * stretch
    most = math.ceil(support) * 2 + 1
    starts = np.empty(count, np.int64)
    counts = np.empty(count, np.int64)
    weights = np.zeros((count, most), np.int32)
    exact = np.empty(most, np.float64)
    for number in range(count):
        centre = (first + number + 0.5) * scale
        start = max(int(centre - support + 0.5), 0)
        end = min(int(centre + support + 0.5), size)
        total = 0.0
        for at in range(end - start):
            exact[at] = weight((at + start - centre + 0.5) * narrower, kind)
            total += exact[at]
        for at in range(end - start):
            fixed = exact[at] / total * (1 << PRECISION)
            weights[number, at] = int(fixed + 0.5) if fixed >= 0 else int(fixed - 0.5)
        starts[number], counts[number] = start, end - start
    return starts, counts, weights


@compiled
def weight(distance: float, kind: int) -> float:
    """A triangle, or Keys' cubic convolution with a = -0.5."""
    x = abs(distance)
    if kind == BILINEAR:
        return max(1.0 - x, 0.0)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return 0.0


@compiled
def add_along_rows(
    image: NDArray[np.uint8], start: int, stride: int, length: int, along: Taps, out: NDArray[np.uint8]
) -> None:
    """Resample the rows of `length` bytes at `start`, `start` + `stride`, ...; `out` (rows, bytes)."""
    starts, counts, weights = along
    sides = np.zeros((length, ROWS), np.uint8)
    sums = np.empty(ROWS, np.int32)
    results = np.empty((out.shape[1], ROWS), np.uint8)
    for first in range(0, len(out), ROWS):
        rows = min(ROWS, len(out) - first)
        # Unsigned positions spare a check for negative ones, with which the loop would not be vectorised.
        corner = np.uint64(start + first * stride)
        for at in range(length):
            for row in range(rows):
                sides[at, row] = image[corner + np.uint64(row) * np.uint64(stride) + np.uint64(at)]
        for number in range(len(starts)):
            for channel in range(CHANNELS):
                # Loops of a fixed length keep the sums in registers.
                for row in range(ROWS):
                    sums[row] = 1 << (PRECISION - 1)
                for tap in range(counts[number]):
                    factor, side = weights[number, tap], sides[(starts[number] + tap) * CHANNELS + channel]
                    for row in range(ROWS):
                        sums[row] = np.int32(sums[row] + factor * np.int32(side[row]))
                result = results[number * CHANNELS + channel]
                for row in range(ROWS):
                    result[row] = rounded(sums[row])
        for row in range(rows):
            target = out[first + row]
            for at in range(len(target)):
                target[at] = results[at, row]


@compiled
def add_rows(rows: NDArray[np.uint8], first: int, down: Taps, out: NDArray[np.uint8]) -> None:
    """Resample the columns of `rows` (rows, bytes), of which the first has the number `first`; `out` is flat."""
    starts, counts, weights = down
    length = rows.shape[1]
    sums = np.empty(length, np.int32)
    for number in range(len(starts)):
        for at in range(length):
            sums[at] = 1 << (PRECISION - 1)
        for tap in range(counts[number]):
            factor, row = weights[number, tap], rows[starts[number] - first + tap]
            for at in range(length):
                sums[at] = np.int32(sums[at] + factor * np.int32(row[at]))
        to = np.uint64(number * length)
        for at in range(length):
            out[to + np.uint64(at)] = rounded(sums[at])


@compiled
def rounded(total: np.int32) -> np.uint8:
    return np.uint8(min(max(total >> np.int32(PRECISION), np.int32(0)), np.int32(255)))
