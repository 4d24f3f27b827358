"""Pictures of what a model looks at and of how models compare.

matplotlib takes as long to import as a third of torch: that is left until there is a figure to draw.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from locat.contract.fence import Fence
from locat.contract.names import drawable
from locat.imports import uncollected

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_TITLE = 200  # characters


def pyplot() -> Any:
    """`matplotlib.pyplot`, which draws without a screen."""
    with uncollected():
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

    return plt


def subplots(*shape: int, **options: Any) -> "tuple[Figure, Any]":
    """As `matplotlib.pyplot.subplots`: a figure, and its axes."""
    figure: Figure
    figure, axes = pyplot().subplots(*shape, **options)
    return figure, axes


def save(figure: "Figure", path: Path) -> None:
    """Write `figure` as a PNG and forget it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Fence.here().replacing(path) as file:
        figure.savefig(file, format="png", dpi=120, bbox_inches="tight")
    pyplot().close(figure)


def attention_figure(images: Sequence[NDArray[np.uint8]], maps: Sequence[NDArray[np.float32]], title: str) -> "Figure":
    """One row per image (H, W, 3): the image, then the attention of each head, maps of shape (heads, h, w)."""
    heads = maps[0].shape[0]
    figure, axes = subplots(
        len(images), heads + 1, figsize=(1.6 * (heads + 1), 1.7 * len(images)), squeeze=False, layout="constrained"
    )
    for row, image, image_maps in zip(axes, images, maps, strict=True):
        row[0].imshow(image)
        for axis, head_map in zip(row[1:], image_maps, strict=True):
            axis.imshow(head_map, cmap="viridis")
    for axis, label in zip(axes[0], ["image", *(f"head {number}" for number in range(heads))], strict=True):
        axis.set_title(label, fontsize=9)
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(drawable(title, LONGEST_TITLE), fontsize=10)
    return figure


def batch_grid_figure(
    images: Sequence[NDArray[np.uint8]], title: str, captions: Sequence[str] = (), columns: int = 8
) -> "Figure":
    """Images (H, W, 3), of one size or several, in rows of `columns`, each under its caption if there are any."""
    rows = -(-len(images) // columns)
    figure, axes = subplots(
        rows, columns, figsize=(1.6 * columns, 1.8 * rows + 0.3), squeeze=False, layout="constrained"
    )
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(image)
    for axis, caption in zip(axes.flat, captions, strict=False):
        axis.set_title(drawable(caption), fontsize=6)
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(drawable(title, LONGEST_TITLE), fontsize=10)
    return figure


def comparison_figure(rows: Sequence[dict[str, float | str]], columns: Sequence[str]) -> "Figure":
    """One group of bars per column, one bar per row; rows carry a "model", percentages, and maybe their `sd`."""
    figure, axis = subplots(figsize=(1.2 + 1.6 * len(columns), 3.2))
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        places = np.arange(len(columns)) + number * width
        heights, spread = ([float(row.get(f"{column}{what}", np.nan)) for column in columns] for what in ("", " sd"))
        bars = axis.bar(places, heights, width, yerr=spread, label=drawable(row["model"]))
        axis.bar_label(bars, fmt="%.1f", fontsize=8)
    axis.set_xticks(np.arange(len(columns)) + 0.4 - width / 2, list(map(drawable, columns)))
    axis.set_ylabel("%")
    axis.margins(y=0.15)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
