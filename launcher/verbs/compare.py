"""`launcher compare`."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from launcher.comparing.numbers import DEFAULT, Wanted
from launcher.comparing.query import as_text, parse
from launcher.comparing.table import Table, compare
from launcher.runs.find import find
from launcher.runs.state import Status
from launcher.verbs.arguments import runs_option
from launcher.view import columns
from launcher.view.completion import complete_run
from locat.contract.errors import UserError
from locat.contract.metric_record import in_json
from locat.contract.text import printable


@click.command("compare")
@click.argument("references", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME[@WHEN]",
    multiple=True,
    help="Metric to show; WHEN is last (the default), best, largest, smallest or a step; SECTION/* is a whole section."
    " Repeatable. By default val/* and train/loss.",
)
@click.option(
    "--over-seeds", is_flag=True, help="Merge jobs that differ only in their seed: mean and standard deviation."
)
@click.option(
    "--where", "conditions", metavar="EXPR", multiple=True, help="Show only rows with KEY<OP>VALUE; repeatable."
)
@click.option("--sort", metavar="KEY", help="Sort rows by a column or config key; -KEY starts with the largest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@runs_option
def command(
    references: tuple[str, ...],
    metrics: tuple[str, ...],
    over_seeds: bool,
    conditions: tuple[str, ...],
    sort: str | None,
    as_json: bool,
    as_csv: bool,
    runs: Path,
) -> None:
    """Compare the jobs of each RUN: one row per job, with the config keys in which they differ, and their metrics.

    Reads only the folders of runs. EXPR is one or more conditions `KEY<OP>VALUE`, which must all hold; KEY is a column
    or any config key, <OP> is one of = != < <= > >= and ~ (contains).
    """
    if as_json and as_csv:
        raise UserError("--json or --csv, not both")
    found = list(dict.fromkeys(find(runs, reference) for reference in references or (None,)))
    wanted = [Wanted.parse(each) for each in dict.fromkeys(metrics)] or DEFAULT
    parsed = [condition for text in conditions for condition in parse(text)]
    notes: list[str] = []
    table = compare(found, wanted, parsed, sort, over_seeds, notes)
    if as_json:
        click.echo(json.dumps(_as_json(table), indent=2))
    elif as_csv:
        click.echo(_as_csv(table), nl=False)
    else:
        click.echo(_as_text(table), nl=False)
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)


def _as_text(table: Table) -> str:
    """Without the run where there is only one, and the status where all are done."""
    several = len({row["run"] for row in table.rows}) > 1
    all_done = all(row["status"] == Status.DONE for row in table.rows)
    hidden = {*(() if several else ("run",)), *(("status",) if all_done else ())}
    shown = [name for name in table.columns if name not in hidden]
    return columns.text(shown, table.rows, table.metrics, 2 if several else 1, columns.terminal_width())


def _as_csv(table: Table) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(map(printable, table.columns))
    for row in table.rows:
        writer.writerow([printable(as_text(row[name])) if name in row else "" for name in table.columns])
    return lines.getvalue()


def _as_json(table: Table) -> dict[str, Any]:
    return {"columns": table.columns, "rows": [_plain(row, table.columns) for row in table.rows]}


def _plain(row: Mapping[str, Any], shown: list[str]) -> dict[str, Any]:
    found = {name: row[name] for name in shown if name in row}
    return {name: in_json(value) if isinstance(value, float) else value for name, value in found.items()}
