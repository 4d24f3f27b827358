"""How many pixels each class of a segmentation set has, as a figure."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from locat.contract.names import drawable
from locat.data.beton import open_manifest
from locat.data.datasets.base import Split
from locat.tasks.figures import LONGEST_TITLE, save, subplots
from locat.tasks.segmentation.figures import BARS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 1e-4
"""Percent below which the axis never begins."""


def draw_pixels(betons: Mapping[Split, Path], path: Path) -> None:
    """Write the figure of a dataset's .beton files, by split; none where their masks were not counted."""
    manifests = {split: open_manifest(file) for split, file in betons.items()}
    contents = manifests["train"].contents
    if all(manifest.pixels for manifest in manifests.values()):
        counts = {split: (*manifest.pixels, manifest.ignored_pixels) for split, manifest in manifests.items()}
        save(pixels_figure(counts, (*contents.mask_classes, "not labelled"), contents.source), path)


def pixels_figure(counts: Mapping[Split, Sequence[int]], classes: Sequence[str], title: str) -> "Figure":
    """A bar per class and split: its percentage of all pixels, on a logarithmic axis; `counts` are by split."""
    columns = math.ceil(len(classes) / BARS)
    rows = math.ceil(len(classes) / columns)
    figure, axes = subplots(1, columns, figsize=(5.2 * columns, 1.4 + 0.3 * rows), squeeze=False, layout="constrained")
    shares = {split: 100 * np.array(pixels) / max(1, sum(pixels)) for split, pixels in counts.items()}
    least = max(LEAST, min(share[share > 0].min() for share in shares.values()) / 3)
    height = 0.8 / len(shares)
    for column, axis in enumerate(axes[0]):
        part = slice(column * rows, (column + 1) * rows)
        names = classes[part]
        for number, (split, share) in enumerate(shares.items()):
            places = np.arange(len(names)) + (number - (len(shares) - 1) / 2) * height
            bars = axis.barh(places, np.maximum(share[part], least), height, label=split)
            labels = [f"{value:.3g}" if value else "none" for value in share[part]]
            axis.bar_label(bars, labels, fontsize=7, padding=2)
        axis.set_yticks(np.arange(len(names)), [drawable(name) for name in names], fontsize=8)
        axis.set_ylim(rows - 0.5, -0.5)
        axis.set_xscale("log")
        axis.set_xlim(least, 500)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("% of all pixels")
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8, frameon=False, ncols=len(shares))
    figure.suptitle(drawable(f"{title}: pixels per class", LONGEST_TITLE), fontsize=10)
    return figure
