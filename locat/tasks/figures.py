"""Pictures of what a model looks at and of what it segments."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

IGNORED = 255


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as a PNG and forget it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def attention_figure(images: Sequence[NDArray[np.uint8]], maps: Sequence[NDArray[np.float32]], title: str) -> Figure:
    """One row per image (H, W, 3): the image, then the attention of each head, maps of shape (heads, h, w)."""
    heads = maps[0].shape[0]
    figure, axes = plt.subplots(
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
    figure.suptitle(title, fontsize=10)
    return figure


def overlay_figure(
    images: Sequence[NDArray[np.uint8]],
    truths: Sequence[NDArray[np.integer]],
    predictions: Sequence[NDArray[np.integer]],
    classes: Sequence[str],
    title: str,
) -> Figure:
    """One row per image (H, W, 3): image, truth, prediction over the image, and where it is wrong; with a legend."""
    colours = plt.get_cmap("tab20", len(classes))(np.arange(len(classes)))[:, :3]
    figure, axes = plt.subplots(len(images), 4, figsize=(7, 1.7 * len(images)), squeeze=False, layout="constrained")
    for row, image, truth, prediction in zip(axes, images, truths, predictions, strict=True):
        known = truth != IGNORED
        wrong = (truth != prediction) & known
        row[0].imshow(image)
        row[1].imshow(blend(image, colours[np.where(known, truth, 0)]))
        row[2].imshow(blend(image, colours[prediction]))
        row[3].imshow(wrong, cmap="Reds", vmin=0, vmax=1)
    for axis, label in zip(axes[0], ["image", "truth", "prediction", "error"], strict=True):
        axis.set_title(label, fontsize=9)
    for axis in axes.flat:
        axis.axis("off")
    seen = sorted(set(np.unique(np.stack([*truths, *predictions]))) - {IGNORED})
    patches = [Patch(color=colours[label], label=classes[label]) for label in seen]
    figure.legend(handles=patches, loc="outside right center", fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def blend(image: NDArray[np.uint8], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """`image` (H, W, 3) under 65 % of `colour` (H, W, 3) in 0..1."""
    return 0.35 * image / 255 + 0.65 * colour


def comparison_figure(rows: Sequence[dict[str, float | str]], columns: Sequence[str]) -> Figure:
    """One group of bars per column, one bar per row; rows carry a "model" and percentages."""
    figure, axis = plt.subplots(figsize=(1.2 + 1.6 * len(columns), 3.2))
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        places = np.arange(len(columns)) + number * width
        bars = axis.bar(places, [float(row.get(column, np.nan)) for column in columns], width, label=row["model"])
        axis.bar_label(bars, fmt="%.1f", fontsize=8)
    axis.set_xticks(np.arange(len(columns)) + 0.4 - width / 2, columns)
    axis.set_ylabel("%")
    axis.margins(y=0.15)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
