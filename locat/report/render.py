"""A report as Markdown, as a page that needs no other file, and as CSV with a line per number."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from locat.report.results import RunSummary
from locat.report.tables import Cell, Table
from locat.report.templates import HTML, MARKDOWN

MISSING = "–"  # noqa: RUF001
HOW_TO_READ = (
    "Percent; mean ± standard deviation over seeds, where there are several. Δ is the mean less the paper's number, "
    f"in points. {MISSING} stands for what no finished job has found."
)


@dataclass(frozen=True)
class Report:
    """All that a report shows."""

    runs: Sequence[RunSummary]
    tables: Sequence[Table]
    gains: Mapping[str, Table]
    """Key of a table -> what LocAt adds in it."""
    figures: Mapping[str, bytes]
    """Key of a table -> PNG."""

    def shown(self) -> list[Table]:
        """Each table, followed by its gains."""
        return [each for table in self.tables for each in (table, self.gains.get(table.key)) if each is not None]


def number(cell: Cell, signed: bool = False) -> str:
    """What was found: `73.94 ± 0.12`."""
    if cell.mean is None:
        return MISSING
    spread = "" if cell.spread is None else f" ± {cell.spread:.2f}"
    return f"{cell.mean:{'+' if signed else ''}.2f}{spread}"


def points(value: float | None, signed: bool = True) -> str:
    """A published number, or a difference."""
    return MISSING if value is None else f"{value:{'+' if signed else ''}.2f}"


CSV_COLUMNS = ("table", "size", "label", "model", "column", "mean", "sd", "n", "published", "difference", "seeds")


def markdown(report: Report) -> str:
    """The report as a document; pictures are files beside it."""
    return _fill(MARKDOWN, report, report.figures, autoescape=False)


def html(report: Report) -> str:
    """The report as a page that holds its pictures."""
    pictures = {key: base64.b64encode(png).decode() for key, png in report.figures.items()}
    return _fill(HTML, report, pictures, autoescape=True)


def table_of_numbers(report: Report) -> str:
    """The report as CSV: a line for each cell, empty where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in report.shown():
        for line in table.lines:
            for column, cell in zip(table.columns, line.cells, strict=True):
                seeds = " ".join("/".join(each) for each in cell.values)
                numbers = (cell.mean, cell.spread, len(cell.values), cell.published, cell.difference)
                writer.writerow(
                    [table.key, line.group, line.label, line.model, column.label, *map(_exact, numbers), seeds]
                )
    return text.getvalue()


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _fill(template: str, report: Report, figures: Mapping[str, object], autoescape: bool) -> str:
    environment = Environment(
        autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(template).render(
        title=f"LocAt: {', '.join(run.name for run in report.runs)}",
        how_to_read=HOW_TO_READ,
        tables=report.shown(),
        runs=report.runs,
        figures=figures,
        number=number,
        points=points,
        missing=MISSING,
    )
