"""Pillow's antialiased resampling of a part of an image, equal bit by bit, compiled and free of Python's lock.

Separable: along the rows first, then along the columns, both with weights of 22 fractional bits and a
result rounded to uint8. Along the columns LANES bytes of whole rows are added up at a time; for the same
along the rows, as many of them are turned on their side (`vectors.py`).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from locat.data.compiled import compiled
from locat.data.vectors import LANES, PRECISION, TILE, turn, weigh

BILINEAR, BICUBIC = 2, 3  # Pillow's own numbers
CHANNELS = 3
MOST_HALVINGS = 3
"""That libjpeg-turbo does to an image while it decodes. At other scales it takes as long as at none, or longer."""

Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
"""For each output pixel the first input pixel it looks at, and how many, (count,); their weights (count, most)."""


def room(width: int) -> int:
    """Bytes behind an image of this width that are read, to no effect, where its rows do not fill the last vectors."""
    return LANES * width * CHANNELS + TILE


@compiled
def resample(image: NDArray[np.uint8], width: int, cut: Any, halvings: int, out: NDArray[np.uint8]) -> None:
    """Write one cut of an image.

    Args:
        image: flat RGB pixels, of the rows down to the cut's last one at least, and `room(width)` bytes of anything.
        width: of the image in pixels.
        cut: a record of `views.CUT`.
        halvings: how often the image has been halved; what `cut` says is of the image before that.
        out: flat RGB pixels, of out_height * out_width at least.
    """
    if halvings == 0 and cut.height == cut.whole_height and cut.width == cut.whole_width:
        copy(image, width, cut, out)
        return
    top, rows = span(cut.top, cut.height, halvings)
    left, columns = span(cut.left, cut.width, halvings)
    part = 1.0 / (1 << halvings)
    down = taps(
        rows, cut.top * part - top, cut.height * part, cut.whole_height, cut.out_top, cut.out_height, cut.filter
    )
    along = taps(
        columns, cut.left * part - left, cut.width * part, cut.whole_width, cut.out_left, cut.out_width, cut.filter
    )
    if cut.flip:
        along = (along[0][::-1].copy(), along[1][::-1].copy(), along[2][::-1].copy())
    first, last = down[0][0], down[0][-1] + down[1][-1]
    stride = width * CHANNELS
    start = (top + first) * stride + left * CHANNELS
    between = np.empty((padded(last - first, LANES), padded(cut.out_width * CHANNELS, LANES)), np.uint8)
    add_along_rows(image[start:], stride, columns * CHANNELS, along, between)
    add_rows(between, first, down, cut.out_width * CHANNELS, out)


@compiled
def span(start: int, length: int, halvings: int) -> tuple[int, int]:
    """The first pixel, and how many, that `length` pixels from `start` on touch in an image halved that often."""
    first = start >> halvings
    return first, halved(start + length, halvings) - first


@compiled
def halved(size: int, halvings: int) -> int:
    """Pixels of a side of `size` pixels that a decoder has halved that often; it rounds up."""
    return (size + (1 << halvings) - 1) >> halvings


@compiled
def padded(count: int, step: int) -> int:
    """The next multiple of `step`."""
    return (count + step - 1) // step * step


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
def taps(size: int, offset: float, length: float, whole: int, first: int, count: int, kind: int) -> Taps:
    """What `count` output pixels from `first` on are made of, when `length` pixels of `size` become `whole`.

    The length begins at `offset`, within the first of the pixels; all of them are looked at.
    """
    scale = length / whole
    stretch = max(scale, 1.0)
    narrower = 1.0 / stretch
    support = (1.0 if kind == BILINEAR else 2.0) * stretch
    most = math.ceil(support) * 2 + 1
    starts = np.empty(count, np.int64)
    counts = np.empty(count, np.int64)
    weights = np.zeros((count, most), np.int32)
    exact = np.empty(most, np.float64)
    for number in range(count):
        centre = offset + (first + number + 0.5) * scale
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
def add_along_rows(image: NDArray[np.uint8], stride: int, length: int, along: Taps, out: NDArray[np.uint8]) -> None:
    """Resample the rows of `length` bytes at 0, `stride`, ... of `image` into `out` (rows, bytes), padded to LANES."""
    starts, counts, weights = along
    sides = np.empty((padded(length, TILE), LANES), np.uint8)
    results = np.empty((out.shape[1], LANES), np.uint8)
    for first in range(0, len(out), LANES):
        turn_over(image[first * stride :], stride, sides)
        for number in range(len(starts)):
            for channel in range(CHANNELS):
                side, result = starts[number] * CHANNELS + channel, number * CHANNELS + channel
                weigh(sides[side], CHANNELS * LANES, weights[number], counts[number], results[result])
        turn_over(results.reshape(-1), LANES, out[first : first + LANES])


@compiled
def turn_over(rows: NDArray[np.uint8], stride: int, out: NDArray[np.uint8]) -> None:
    """`out[at, number]` becomes byte `at` of the row that begins at `number` * `stride`."""
    for number in range(0, out.shape[1], TILE):
        for at in range(0, len(out), TILE):
            turn(rows[number * stride + at :], stride, out[at, number:], out.shape[1])


@compiled
def add_rows(rows: NDArray[np.uint8], first: int, down: Taps, length: int, out: NDArray[np.uint8]) -> None:
    """Resample the columns of `rows` (rows, bytes), padded to LANES, of which the first has the number `first`.

    `out` is flat and gets `length` bytes of each row.
    """
    starts, counts, weights = down
    result = np.empty(rows.shape[1], np.uint8)
    for number in range(len(starts)):
        for at in range(0, len(result), LANES):
            weigh(rows[starts[number] - first, at:], len(result), weights[number], counts[number], result[at:])
        to = np.uint64(number * length)
        for at in range(np.uint64(length)):
            out[to + at] = result[at]
