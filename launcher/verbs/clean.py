"""`launcher clean`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from launcher.actions.clean import clean
from launcher.cleaning.find import KEEP, Thing
from launcher.cleaning.remove import Cleaned
from launcher.runs.find import find
from launcher.verbs.arguments import runs_option, seconds_in
from launcher.view.completion import complete_run
from locat.contract.text import printable


class Span(click.ParamType):  # type: ignore[type-arg]  # has none in older versions of click
    """A number of hours, days or weeks, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = value if isinstance(value, float) else seconds_in(value)
        if seconds is None:
            self.fail(f"{value!r} is no span of time (12h, 30d, 4w)", param, ctx)
        return float(seconds)


@click.command("clean")
@click.argument("references", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option(
    "--older", type=Span(), metavar="SPAN", help="Only for jobs that ended at least this long ago: 12h, 30d, 4w."
)
@click.option(
    "--keep",
    type=click.Choice(KEEP),
    help="Checkpoints of a done job to keep; by default what its config says, or the best.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted; delete nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def command(
    references: tuple[str, ...], older: float | None, keep: str | None, dry_run: bool, as_json: bool, runs: Path
) -> None:
    """Delete old checkpoints of the done jobs of each RUN, and the leftovers of killed attempts.

    Without RUN, clean all runs, and also delete copies of code that no run names. Keeps everything that a job of any
    run in the folder needs, all checkpoints of jobs that are not done, and all outputs and metrics. Exits with code 1
    if something could not be deleted.
    """
    chosen = list(dict.fromkeys(find(runs, reference) for reference in references)) or None
    folder = runs.resolve()

    def tell(thing: Thing) -> None:
        if not as_json:
            click.echo(_line(thing.bytes, thing.path.relative_to(folder)))

    result = clean(runs, chosen, keep, older or 0.0, dry_run, tell)
    total = sum(thing.bytes for thing in result.things)
    if as_json:
        click.echo(json.dumps(_as_json(result, folder, total, dry_run), indent=2))
    else:
        click.echo(_line(total, "would be free; --dry-run deletes nothing" if dry_run else "free"))
        for kept in result.kept:
            click.echo(f"kept: {printable(f'{kept.path.relative_to(folder)}: {kept.why}')}", err=True)
    for note in result.notes:
        click.echo(f"note: {printable(note)}", err=True)
    for fault in result.faults:
        click.echo(f"could not be deleted: {printable(fault)}", err=True)
    sys.exit(1 if result.faults else 0)


def _line(size: int, what: object) -> str:
    return f"{size:>18,}  {printable(str(what))}"


def _as_json(result: Cleaned, folder: Path, total: int, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "bytes": total,
        "things": [{**thing._asdict(), "path": str(thing.path.relative_to(folder))} for thing in result.things],
        "kept": [{**kept._asdict(), "path": str(kept.path.relative_to(folder))} for kept in result.kept],
        "notes": result.notes,
        "faults": result.faults,
    }
