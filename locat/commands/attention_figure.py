"""The figure of `python -m locat attention-maps`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from locat.contract.names import drawable
from locat.models.gaug import Grid

GAUSSIAN_TITLES = ("sigma down, patches", "sigma across, patches", "alpha, logits")


class Look(NamedTuple):
    """What one model looks at: a picture (H, W, 3) in 0..1 and, for each query, where its attention goes, (h, w).

    A query is a patch (row, column), or None for [CLS]. `gaussians` is (3, h, w): sigma down and
    across, and alpha; None without LocAt.
    """

    model: str
    picture: NDArray[np.float32]
    queries: Sequence[Grid | None]
    maps: Sequence[NDArray[np.float32]]
    gaussians: NDArray[np.float32] | None


def looks_figure(looks: Sequence[Look]) -> Figure:
    """One row per model: the picture with its queries, their attention, and LocAt's Gaussian of every patch."""
    widest = max(len(look.maps) for look in looks)
    columns = 1 + widest + len(GAUSSIAN_TITLES) * any(look.gaussians is not None for look in looks)
    figure = Figure(figsize=(2.2 * columns, 2.4 * len(looks)), layout="constrained")
    for row, look in zip(figure.subplots(len(looks), columns, squeeze=False), looks, strict=True):
        for axis in row:
            axis.axis("off")
        draw_picture(row[0], look)
        for axis, query, attention in zip(row[1:], look.queries, look.maps, strict=False):
            axis.imshow(attention, cmap="viridis")
            axis.set_title("[CLS]" if query is None else f"patch {query}", fontsize=9)
            if query is not None:
                mark(axis, query, 1.0)
        if look.gaussians is not None:
            for axis, values, title in zip(row[1 + widest :], look.gaussians, GAUSSIAN_TITLES, strict=True):
                bar = figure.colorbar(axis.imshow(values, cmap="magma"), ax=axis, shrink=0.8)
                bar.ax.tick_params(labelsize=7)
                axis.set_title(title, fontsize=9)
    return figure


def draw_picture(axis: Axes, look: Look) -> None:
    """The picture, with the queried patches marked."""
    axis.imshow(look.picture)
    axis.set_title(drawable(look.model), fontsize=9)
    patch = look.picture.shape[0] / look.maps[0].shape[0]
    for query in look.queries:
        if query is not None:
            mark(axis, query, patch)


def mark(axis: Axes, query: Grid, patch: float) -> None:
    """A cross in the middle of a patch of so many pixels."""
    row, column = ((index + 0.5) * patch - 0.5 for index in query)
    axis.plot(column, row, "x", color="red", markersize=6, markeredgewidth=1.5)
