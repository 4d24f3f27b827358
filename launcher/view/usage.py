"""What jobs have taken, as a table and for programs: a row per job, or per user, pipeline, model or task."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from rich.table import Table

from launcher.runs.progress import clock
from launcher.runs.usage import PHASES, JobUsage
from launcher.view.tables import table, text

KINDS: dict[str, Callable[[JobUsage], str]] = {
    "user": lambda usage: usage.user,
    "pipeline": lambda usage: usage.pipeline,
    "model": lambda usage: usage.model,
    "task": lambda usage: usage.task,
}
"""What rows may be added up by."""
HEADS = {"waiting_for_data": "data", "checkpointing": "checkpoints"}
"""Columns that are called shorter than their phase."""


@dataclass(frozen=True)
class Row:
    """One job, or several together."""

    labels: dict[str, Any]
    """Column -> what tells the row from others."""
    jobs: int
    attempts: int
    seconds: dict[str, float]
    """By phase."""
    gpu_hours: float
    core_hours: float
    estimated: float
    """GPU-hours that were estimated before, of those jobs of which they are known."""
    unestimated: int
    """Jobs with GPUs of which they are not."""

    @property
    def wall(self) -> float:
        return math.fsum(self.seconds.values())

    def plus(self, other: "Row") -> "Row":
        """Both together, called as this one."""
        return Row(
            self.labels,
            self.jobs + other.jobs,
            self.attempts + other.attempts,
            {phase: self.seconds[phase] + other.seconds[phase] for phase in PHASES},
            self.gpu_hours + other.gpu_hours,
            self.core_hours + other.core_hours,
            self.estimated + other.estimated,
            self.unestimated + other.unestimated,
        )

    def as_json(self, price: float | None) -> dict[str, Any]:
        return {
            **self.labels,
            "jobs": self.jobs,
            "attempts": self.attempts,
            "wall": self.wall,
            "seconds": self.seconds,
            "gpu_hours": self.gpu_hours,
            "core_hours": self.core_hours,
            "estimated_gpu_hours": None if self.unestimated else self.estimated,
            "price": None if price is None else price * self.gpu_hours,
        }


def rows_of(jobs: Sequence[tuple[JobUsage, float]], by: str | None) -> list[Row]:
    """A row per job, each with its estimated GPU-hours (NaN: unknown), or one for all that are alike in `by`."""
    if by is None:
        return [_row({"run": usage.run, "job": usage.job.name}, usage, hours) for usage, hours in jobs]
    found: dict[str, Row] = {}
    for usage, hours in jobs:
        label = KINDS[by](usage)
        row = _row({by: label}, usage, hours)
        found[label] = found[label].plus(row) if label in found else row
    return sorted(found.values(), key=lambda row: (-row.gpu_hours, -row.core_hours))


def total(rows: Iterable[Row], labels: dict[str, Any]) -> Row:
    """All together."""
    nothing = Row(labels, 0, 0, dict.fromkeys(PHASES, 0.0), 0.0, 0.0, 0.0, 0)
    return reduce(Row.plus, rows, nothing)


def _row(labels: dict[str, Any], usage: JobUsage, estimated: float) -> Row:
    unknown = math.isnan(estimated)
    told = (usage.gpu_hours, usage.core_hours, 0.0 if unknown else estimated, int(unknown))
    return Row(labels, 1, usage.attempts, dict(usage.seconds), *told)


def usage_table(rows: Sequence[Row], price: float | None) -> Table:
    """A line per row and their sum; phases that none was in have no column."""
    everything = total(rows, {})
    labels = [label for label in rows[0].labels if label != "run" or len({row.labels["run"] for row in rows}) > 1]
    phases = [phase for phase in PHASES if everything.seconds[phase] > 0]
    counts = "attempts" if "job" in labels else "jobs"
    hours = [*(["GPU-hours", "estimated"] if everything.gpu_hours else []), "core-hours"]
    shown = table()
    for label in labels:
        shown.add_column(label, overflow="fold")
    costs = [] if price is None else ["price"]
    for head in (counts, "time", *(HEADS.get(phase, phase) for phase in phases), *hours, *costs):
        shown.add_column(head, justify="right", no_wrap=True)
    for row in [*rows, everything] if len(rows) > 1 else rows:
        if row is everything:
            shown.add_section()
        cells = {"GPU-hours": _hours(row.gpu_hours), "estimated": _estimate(row), "core-hours": _hours(row.core_hours)}
        told = [str(row.labels.get(label, "") or "-") for label in labels]
        shown.add_row(
            *(text(cell) for cell in (["sum", *[""] * (len(labels) - 1)] if row is everything else told)),
            str(row.attempts if counts == "attempts" else row.jobs),
            clock(row.wall),
            *(clock(row.seconds[phase]) if row.seconds[phase] else "" for phase in phases),
            *(cells[hour] for hour in hours),
            *(f"{price * row.gpu_hours:,.2f}" for price in ([] if price is None else [price])),
        )
    return shown


def _estimate(row: Row) -> str:
    return " + ".join(filter(None, (_hours(row.estimated), "unknown" if row.unestimated else "")))


def _hours(hours: float) -> str:
    return f"{hours:,.2f}" if hours else ""
