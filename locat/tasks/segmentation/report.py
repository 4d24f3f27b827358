"""What a segmentation job leaves to be looked at: a table of the classes, and pictures."""

import csv
import io
import math
from collections.abc import Sequence

import torch

from locat.contract import durable
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.tasks.figures import save
from locat.tasks.segmentation.figures import Picture, confusion_figure, iou_figure, overlay_figure
from locat.tasks.segmentation.scores import class_scores

COLUMNS = ("class", "iou", "accuracy", "true_pixels", "predicted_pixels")


def write_report(
    job: JobFolder, title: str, classes: Sequence[str], confusion: torch.Tensor, pictures: Sequence[Picture]
) -> None:
    """Write classes.csv, classes.json and the figures; `confusion` (classes, classes) has the truth in rows."""
    scores = class_scores(confusion)
    columns = (scores.iou * 100, scores.accuracy * 100, confusion.sum(1), confusion.sum(0))
    values = zip(classes, *(column.tolist() for column in columns), strict=True)
    rows = [dict(zip(COLUMNS, (defined(value) for value in row), strict=True)) for row in values]
    Fence.here().check()
    durable.make_folder(job.outputs, within=job.path)
    durable.write_json(job.outputs / "classes.json", rows)
    durable.write_bytes(job.outputs / "classes.csv", as_csv(rows).encode(errors="backslashreplace"))
    save(overlay_figure(pictures, classes, title), job.figures / "overlays.png")
    save(iou_figure(columns[0].numpy(), classes, title), job.figures / "iou.png")
    save(confusion_figure(confusion.numpy(), classes, title), job.figures / "confusion.png")


def defined(value: str | float) -> str | float | None:
    """None for not a number, which JSON does not have."""
    return None if isinstance(value, float) and math.isnan(value) else value


def as_csv(rows: Sequence[dict[str, str | float | None]]) -> str:
    """A line per row under the columns' names, percentages to two decimals; empty where there is no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.2f}" if isinstance(value, float) else value for name, value in row.items()})
    return text.getvalue()
