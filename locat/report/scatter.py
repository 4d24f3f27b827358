"""Top-1 against mIoU, an arrow from each model to the same with LocAt (paper, Fig. 2)."""

from collections.abc import Callable
from operator import attrgetter

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from locat.contract.names import drawable
from locat.report.tables import BASELINES, Cell, Line, Table, pairs

FAINT = 0.3
"""Opacity of the paper's points."""
MARKERS = "osD^"
"""One for each size."""
MEAN: Callable[[Cell], float | None] = attrgetter("mean")
PUBLISHED: Callable[[Cell], float | None] = attrgetter("published")


def scatter(table: Table) -> Figure | None:
    """A panel for each segmentation set, in percent; None where no model has both numbers.

    Points are means with their standard deviation over seeds, filled with LocAt, hollow without; the paper's are faint.
    """
    classified = [index for index, column in enumerate(table.columns) if column.task == "supervised"]
    segmented = [index for index, column in enumerate(table.columns) if column.task == "segment"]
    panels = [
        (x, y)
        for x in classified
        for y in segmented
        if any(line.cells[x].values and line.cells[y].values for line in table.lines)
    ]
    if not panels:
        return None
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels) + 1.8, 4.2), squeeze=False, layout="constrained"
    )
    for axis, (x, y) in zip(axes[0], panels, strict=True):
        _panel(axis, table, x, y)
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside right upper")
    return figure


def _panel(axis: Axes, table: Table, x: int, y: int) -> None:
    paired = pairs(table)
    family = {id(other): plain.label for plain, other in paired}
    families = list(dict.fromkeys(family.get(id(line), line.label) for line in table.lines))
    groups = list(dict.fromkeys(line.group for line in table.lines))
    for line in table.lines:
        if (ours := _point(line, x, y, MEAN)) is None:
            continue
        colour = f"C{families.index(family.get(id(line), line.label)) % 10}"
        face = colour if line.model.split(",")[0] in BASELINES else "white"
        marker = MARKERS[groups.index(line.group) % len(MARKERS)]
        across, up = (line.cells[index].spread or 0.0 for index in (x, y))
        axis.errorbar(*ours, up, across, marker, color=colour, mfc=face, label=drawable(line.name), elinewidth=0.8)
        if (theirs := _point(line, x, y, PUBLISHED)) is not None:
            axis.plot(*theirs, marker, color=colour, mfc=face, alpha=FAINT, zorder=0)
    for plain, other in paired:
        for which, alpha in ((MEAN, 0.8), (PUBLISHED, FAINT)):
            start, end = (_point(line, x, y, which) for line in (plain, other))
            if start is not None and end is not None:
                axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.2", "alpha": alpha})
    axis.set_xlabel(f"{drawable(table.columns[x].label)}, %")
    axis.set_ylabel(f"{drawable(table.columns[y].label)}, %")
    axis.margins(0.12)
    axis.spines[["top", "right"]].set_visible(False)


def _point(line: Line, x: int, y: int, which: Callable[[Cell], float | None]) -> tuple[float, float] | None:
    across, up = which(line.cells[x]), which(line.cells[y])
    return None if across is None or up is None else (across, up)
