"""What jobs have taken, as a table and for programs: a row per job, or per user, pipeline, model or task."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from rich.console import Console
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
SHOWN = 1.0
"""Seconds that a phase takes at least where it is shown."""
WIDEST = 1000
"""Columns of a terminal that every table fits on."""


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


def usage_table(rows: Sequence[Row], price: float | None, out: Console) -> Table:
    """A line per row, and their sum; where `out` is too narrow for all columns, what is in them as a text."""
    everything = total(rows, dict.fromkeys(rows[0].labels, ""))
    several = len({row.labels.get("run") for row in rows}) > 1
    labels = [label for label in rows[0].labels if label != "run" or several]
    everything.labels[labels[0]] = "sum"
    named = [[str(row.labels[label] or "-") for label in labels] for row in rows]
    told = [_told(row, everything, "job" in labels, price) for row in (*rows, everything)]
    if len(rows) > 1:
        named.append([str(everything.labels[label]) for label in labels])
    wide = _table(labels, list(told[0]), named, [list(cells.values()) for cells in told])
    if out.measure(wide, options=out.options.update(max_width=WIDEST)).maximum <= out.width:
        return wide
    words = [", ".join(f"{head} {cell}" for head, cell in cells.items() if cell) for cells in told]
    return _table([*labels, "taken"], [], [[*name, said] for name, said in zip(named, words, strict=False)])


def _table(
    texts: Sequence[str], numbers: Sequence[str], left: Sequence[Sequence[str]], right: Sequence[Sequence[str]] = ()
) -> Table:
    """Columns of texts, then of numbers; a line apart for the sum where there are several."""
    shown = table()
    for head in texts:
        shown.add_column(head, overflow="fold")
    for head in numbers:
        shown.add_column(head, justify="right", no_wrap=True)
    for index, cells in enumerate(left):
        if 0 < index == len(left) - 1:
            shown.add_section()
        shown.add_row(*map(text, (*cells, *(right[index] if right else ()))))
    return shown


def _told(row: Row, everything: Row, of_jobs: bool, price: float | None) -> dict[str, str]:
    """Column -> what stands in it; phases that no row was in have none."""
    count = {"attempts": str(row.attempts)} if of_jobs else {"jobs": str(row.jobs)}
    phases = [phase for phase in PHASES if everything.seconds[phase] >= SHOWN]
    spent = {HEADS.get(phase, phase): _clock(row.seconds[phase]) for phase in phases}
    gpus = {"GPU-hours": _hours(row.gpu_hours), "estimated": _estimate(row)} if everything.gpu_hours else {}
    cost = {} if price is None else {"price": f"{price * row.gpu_hours:,.2f}"}
    return {**count, "time": clock(row.wall), **spent, **gpus, "core-hours": _hours(row.core_hours), **cost}


def _clock(seconds: float) -> str:
    return clock(seconds) if seconds >= SHOWN else ""


def _estimate(row: Row) -> str:
    return " + ".join(filter(None, (_hours(row.estimated), "unknown" if row.unestimated else "")))


def _hours(hours: float) -> str:
    return f"{hours:,.2f}" if hours else ""
