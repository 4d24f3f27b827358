"""What is cut out of each image: where, in which size, by which filter. Pure arithmetic, no pixels.

Every random number of a view is a function of (seed, epoch, sample, number of the view) alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from locat.data import counter
from locat.data.counter import Key
from locat.data.resample import BICUBIC, BILINEAR, MOST_HALVINGS


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of the image brought to one size, as torchvision and timm draw it."""

    size: int
    """Height and width of the view in pixels."""
    scale: tuple[float, float]
    """Least and largest part of the image's area."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Least and largest width over height."""
    flip: float = 0.5
    """Probability of mirroring left and right."""
    interpolation: Literal["random", "bilinear", "bicubic"] = "random"
    """Random draws one of the two for each image."""
    decode: Literal["full", "scaled"] = "full"
    """Scaled: from a JPEG decoded at 1/2, 1/4 or 1/8 of its size, where the crop is at least so much larger."""


@dataclass(frozen=True)
class CentreCrop:
    """timm's evaluation: the shorter side brought to floor(size / crop_pct) by a bicubic filter, the centre taken."""

    size: int
    """Height and width of the view in pixels."""
    crop_pct: float = 0.9


@dataclass(frozen=True)
class Whole:
    """The image as stored; all images of the file must have one size."""


View = RandomResizedCrop | CentreCrop | Whole

CUT = np.dtype(
    [
        *((name, np.int32) for name in ("top", "left", "height", "width")),  # a part of the image,
        *((name, np.int32) for name in ("whole_height", "whole_width", "filter")),  # brought to this size,
        *((name, np.int32) for name in ("out_top", "out_left", "out_height", "out_width")),  # of which this is kept,
        ("flip", np.int32),  # mirrored where not 0,
        ("halvings", np.int32),  # from the image halved so many times at most by its decoder,
        ("address", np.int64),  # and written here in the batch
    ],
    align=True,
)

ATTEMPTS = 10
"""Boxes that are drawn until one fits into the image, each by four keys of its own."""

Draw = Callable[[int, NDArray[np.int64]], NDArray[np.float64]]


def cuts(
    views: Sequence[View],
    height: NDArray[np.integer],
    width: NDArray[np.integer],
    samples: NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
) -> NDArray[np.void]:
    """What to cut out of images of `height` and `width` (n,): records of CUT (n, views), addresses left 0."""
    found = np.zeros((len(samples), len(views)), CUT)
    random = [number for number, view in enumerate(views) if isinstance(view, RandomResizedCrop)]
    if random:
        found[:, random] = _random_cuts([views[n] for n in random], random, height, width, samples, seed, epoch)  # type: ignore[misc]
    for number, view in enumerate(views):
        if isinstance(view, CentreCrop):
            _centre_cut(found[:, number], view, height, width)
        elif isinstance(view, Whole):
            _fill(found[:, number], height=height, width=width, whole_height=height, whole_width=width)
            _fill(found[:, number], out_height=height, out_width=width)
    return found


def _random_cuts(
    crops: Sequence[RandomResizedCrop],
    numbers: Sequence[int],
    height: NDArray[np.integer],
    width: NDArray[np.integer],
    samples: NDArray[np.int64],
    seed: int,
    epoch: int,
) -> NDArray[np.void]:
    count = len(samples)
    index = torch.from_numpy(np.repeat(samples, len(crops)))
    stream = torch.from_numpy(np.tile(np.array(numbers, np.int64) * counter.STREAM, count))

    def draw(key: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        chosen = torch.from_numpy(rows)
        return counter.uniform(seed, epoch, index[chosen], stream[chosen] + key).numpy()

    def of_views(values: Sequence[float]) -> NDArray[np.float64]:
        return np.tile(np.array(values, np.float64), count)

    found = np.zeros(len(index), CUT)
    box = _random_boxes(
        np.repeat(height, len(crops)).astype(np.float64),
        np.repeat(width, len(crops)).astype(np.float64),
        scale=tuple(of_views([crop.scale[end] for crop in crops]) for end in (0, 1)),
        ratio=tuple(of_views([crop.ratio[end] for crop in crops]) for end in (0, 1)),
        draw=draw,
    )
    for name, values in zip(("top", "left", "height", "width"), box, strict=True):
        found[name] = values
    rows = np.arange(len(index))
    found["flip"] = draw(Key.CROP_FLIP, rows) < of_views([crop.flip for crop in crops])
    bicubic = {"bilinear": 0.0, "random": 0.5, "bicubic": 1.0}
    chosen = draw(Key.CROP_INTERPOLATION, rows) < of_views([bicubic[crop.interpolation] for crop in crops])
    found["filter"] = np.where(chosen, BICUBIC, BILINEAR)
    size = of_views([crop.size for crop in crops])
    _fill(found, whole_height=size, whole_width=size, out_height=size, out_width=size)
    scaled = np.tile([crop.decode == "scaled" for crop in crops], count)
    shorter = np.minimum(found["height"], found["width"])
    found["halvings"] = scaled * sum(shorter >= size * 2**halving for halving in range(1, MOST_HALVINGS + 1))
    return found.reshape(count, len(crops))


def _random_boxes(
    height: NDArray[np.float64],
    width: NDArray[np.float64],
    scale: tuple[NDArray[np.float64], ...],
    ratio: tuple[NDArray[np.float64], ...],
    draw: Draw,
) -> NDArray[np.float64]:
    """top, left, height, width (4, n): the first of ten boxes that fits, or else the largest central one."""
    found = np.empty((4, len(height)))
    keys = (Key.CROP_AREA, Key.CROP_ASPECT, Key.CROP_TOP, Key.CROP_LEFT)
    rows = np.arange(len(height))  # those that have no box yet
    for attempt in range(ATTEMPTS):
        own_draw = [draw(key + len(keys) * attempt, rows) for key in keys]
        h, w, least, most = height[rows], width[rows], scale[0][rows], scale[1][rows]
        area = (least + (most - least) * own_draw[0]) * h * w
        narrow, wide = np.log(ratio[0][rows]), np.log(ratio[1][rows])
        aspect = np.exp(narrow + (wide - narrow) * own_draw[1])
        box_h, box_w = np.rint(np.sqrt(area / aspect)), np.rint(np.sqrt(area * aspect))
        fits = (box_w > 0) & (box_w <= w) & (box_h > 0) & (box_h <= h)
        top, left = np.floor(own_draw[2] * (h - box_h + 1)), np.floor(own_draw[3] * (w - box_w + 1))
        found[:, rows[fits]] = np.stack([top, left, box_h, box_w])[:, fits]
        rows = rows[~fits]
        if not len(rows):
            return found
    h, w, narrow, wide = height[rows], width[rows], ratio[0][rows], ratio[1][rows]
    box_h = np.where(w / h < narrow, np.rint(w / narrow), h)
    box_w = np.where(w / h > wide, np.rint(h * wide), w)
    found[:, rows] = np.stack([(h - box_h) // 2, (w - box_w) // 2, box_h, box_w])
    return found


def _centre_cut(
    found: NDArray[np.void], view: CentreCrop, height: NDArray[np.integer], width: NDArray[np.integer]
) -> None:
    shorter = math.floor(view.size / view.crop_pct)
    whole_height = np.where(height <= width, shorter, shorter * height.astype(np.int64) // width)
    whole_width = np.where(height <= width, shorter * width.astype(np.int64) // height, shorter)
    _fill(found, height=height, width=width, whole_height=whole_height, whole_width=whole_width)
    top, left = (np.rint((whole - view.size) / 2) for whole in (whole_height, whole_width))
    _fill(found, out_top=top, out_left=left, out_height=view.size, out_width=view.size, filter=BICUBIC)


def _fill(found: NDArray[np.void], **columns: float | NDArray[np.generic]) -> None:
    for name, values in columns.items():
        found[name] = values
