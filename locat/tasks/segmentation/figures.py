"""Pictures of a segmentation: where it is right and wrong, class by class."""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from locat.contract.names import drawable
from locat.data.labels import IGNORED
from locat.tasks.figures import LONGEST_TITLE, pyplot, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.2  # inches of a picture
LEGEND_WIDTH, LEGEND_ROWS = 1.8, 30  # inches of a column of the legend, and its entries
BARS = 60
"""Classes in one column of a bar chart."""
TOLD_APART = 4
"""Classes whose first colours everyone tells apart, colour-blind people too: two blues and two oranges."""
NAMED = 0.015
"""Part of a picture that a class must have to be named in it."""
UNKNOWN_COLOUR = (0.5, 0.5, 0.5)
WRONG_COLOUR = (0.8, 0.1, 0.1)
GOLDEN = 0.618034


class Picture(NamedTuple):
    """An evaluation image (H, W, 3) with the true and the predicted class of each pixel, (H, W); all uint8."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@cache
def tableau() -> NDArray[np.float64]:
    """Colours that are told apart easily, (n, 3); none of them is grey, which is for pixels that are not labelled."""
    return np.array([colour for colour in pyplot().get_cmap("tab20").colors if len(set(colour)) > 1])


def overlay_figure(pictures: Sequence[Picture], classes: Sequence[str], title: str) -> "Figure":
    """One row per picture: image, truth, prediction over the image in grey, and where it is wrong; with legends.

    Not everyone can tell more than `TOLD_APART` colours apart: of more classes the names are in the pictures as well.
    """
    from matplotlib.patches import Patch

    colours = class_colours(len(classes))
    heights = [WIDTH * picture.image.shape[0] / picture.image.shape[1] for picture in pictures]
    seen = sorted({int(label) for picture in pictures for labels in picture[1:] for label in np.unique(labels)})
    columns = math.ceil(len(seen) / LEGEND_ROWS)
    figure, axes = subplots(
        len(pictures),
        4,
        figsize=(4 * WIDTH + LEGEND_WIDTH * columns, max(sum(heights), 0.2 * min(len(seen), LEGEND_ROWS)) + 1.0),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for row, (image, truth, prediction) in zip(axes, pictures, strict=True):
        row[0].imshow(image)
        for axis, labels in zip(row[1:3], (truth, prediction), strict=True):
            axis.imshow(blend(image, colours[labels]))
            if len(classes) > TOLD_APART:
                write_names(axis, labels, classes)
        error = np.ones(image.shape)
        error[truth != prediction] = WRONG_COLOUR
        error[truth == IGNORED] = UNKNOWN_COLOUR
        row[3].imshow(error)
    for axis, label in zip(axes[0], ["image", "truth", "prediction", "error"], strict=True):
        axis.set_title(label, fontsize=11)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    patches = [Patch(color=colours[label], label=name_of(label, classes)) for label in seen]
    figure.legend(handles=patches, loc="outside right upper", fontsize=9, frameon=False, ncols=columns)
    meanings = {"right": (1.0, 1.0, 1.0), "wrong": WRONG_COLOUR, "not labelled": UNKNOWN_COLOUR}
    errors = [Patch(facecolor=colour, edgecolor="black", label=label) for label, colour in meanings.items()]
    figure.legend(handles=errors, loc="outside lower center", fontsize=9, frameon=False, ncols=3, title="error")
    figure.suptitle(drawable(title, LONGEST_TITLE), fontsize=12)
    return figure


def write_names(axis: "Axes", labels: NDArray[np.uint8], classes: Sequence[str]) -> None:
    """Write the name of each class that is large in `labels` (H, W) where the class is widest."""
    from matplotlib.patheffects import withStroke
    from scipy.ndimage import distance_transform_edt

    for label, pixels in zip(*np.unique(labels, return_counts=True), strict=True):
        if label == IGNORED or pixels < NAMED * labels.size:
            continue
        depth = distance_transform_edt(np.pad(labels == label, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        across = (column + 0.5) / labels.shape[1]
        side = "left" if across < 0.15 else "right" if across > 0.85 else "center"  # a name is not to leave the picture
        text = axis.text(column, row, drawable(classes[label]), fontsize=6, color="white", ha=side, va="center")
        text.set_path_effects([withStroke(linewidth=1.5, foreground="black")])


def name_of(label: int, classes: Sequence[str]) -> str:
    """A class, or what pixels of none are."""
    return "not labelled" if label == IGNORED else drawable(classes[label])


def class_colours(classes: int) -> NDArray[np.float64]:
    """A colour for each of 256 labels, (256, 3) in 0..1: of the classes distinct ones, grey for pixels of none."""
    from matplotlib.colors import hsv_to_rgb

    number = np.arange(256)
    if classes <= len(tableau()):
        colours = np.resize(tableau(), (256, 3))
    else:
        hsv = np.stack([number * GOLDEN % 1, 0.9 - 0.2 * (number % 3), 1 - 0.25 * (number // 3 % 3)], axis=1)
        colours = hsv_to_rgb(hsv)
    colours[IGNORED] = UNKNOWN_COLOUR
    return colours


def blend(image: NDArray[np.uint8], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """The brightness of `image` (H, W, 3) under 65 % of `colour` (H, W, 3) in 0..1, which keeps its hue."""
    brightness: NDArray[np.float64] = image.mean(axis=2, keepdims=True) / 255
    return 0.35 * brightness + 0.65 * colour


def iou_figure(iou: NDArray[np.float64], classes: Sequence[str], title: str) -> "Figure":
    """A bar for each class, the best first; `iou` (classes,) in percent, not a number where there is none."""
    order = np.argsort(-iou, kind="stable")  # what is not a number comes last
    columns = math.ceil(len(classes) / BARS)
    rows = math.ceil(len(classes) / columns)
    figure, axes = subplots(1, columns, figsize=(4.6 * columns, 0.9 + 0.19 * rows), squeeze=False, layout="constrained")
    for column, axis in enumerate(axes[0]):
        part = order[column * rows : (column + 1) * rows]
        bars = axis.barh(np.arange(len(part)), np.nan_to_num(iou[part]), color="tab:blue")
        labels = ["absent" if math.isnan(value) else f"{value:.1f}" for value in iou[part]]
        axis.bar_label(bars, labels, fontsize=7, padding=2)
        axis.set_yticks(np.arange(len(part)), [drawable(classes[label]) for label in part], fontsize=8)
        axis.set_ylim(rows - 0.5, -0.5)
        axis.set_xlim(0, max(1, 1.15 * np.nan_to_num(iou).max()))
        axis.set_xlabel("IoU %" + (", absent: neither true nor predicted" if np.isnan(iou[part]).any() else ""))
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(drawable(title, LONGEST_TITLE), fontsize=10)
    return figure


def confusion_figure(confusion: NDArray[np.int64], classes: Sequence[str], title: str) -> "Figure":
    """Where the pixels of each true class (row) went: shares of the row, drawn by their square roots."""
    from matplotlib.colors import PowerNorm

    pixels = confusion.sum(axis=1, keepdims=True)
    shares = np.where(pixels > 0, confusion / np.maximum(pixels, 1), np.nan)
    side = max(5.0, 0.105 * len(classes))
    figure, axis = subplots(figsize=(side + 2, side + 0.5), layout="constrained")
    colours = pyplot().get_cmap("viridis").with_extremes(bad="0.85")
    image = axis.imshow(shares, cmap=colours, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    size = 8 if len(classes) <= 40 else 6
    names = list(map(drawable, classes))
    axis.set_xticks(np.arange(len(classes)), names, rotation=90, fontsize=size)
    axis.set_yticks(np.arange(len(classes)), names, fontsize=size)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true" if (pixels > 0).all() else "true (grey: not in the truth)")
    bar = figure.colorbar(image, ax=axis, shrink=0.6, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.set_label("share of the true class")
    axis.set_title(drawable(title, LONGEST_TITLE), fontsize=10)
    return figure
