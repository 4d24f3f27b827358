"""`launcher usage`."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from launcher.backends import BACKENDS
from launcher.compile.estimate import Estimator
from launcher.plan import Plan
from launcher.runs.errors import RunDeletedError
from launcher.runs.find import find, list_runs
from launcher.runs.folder import RunFolder
from launcher.runs.usage import JobUsage, usage
from launcher.verbs.arguments import runs_option, seconds_in
from launcher.view import tables
from launcher.view.completion import complete_run
from launcher.view.usage import KINDS, rows_of, total, usage_table
from locat.contract.errors import UserError
from locat.contract.records import FormatError
from locat.contract.text import printable


class Since(click.ParamType):  # type: ignore[type-arg]  # has none in older versions of click
    """A moment: so long ago, or a date, with a time if need be, of this machine's time zone."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if (ago := seconds_in(value)) is not None:
            return time.time() - ago
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is neither so long ago (12h, 30d, 4w) nor a date (2026-11-01)", param, ctx)


class Price(click.ParamType):  # type: ignore[type-arg]
    """A number of any currency."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            price = float(value)
        except ValueError:
            price = math.nan
        if not (math.isfinite(price) and price >= 0):
            self.fail(f"{value!r} is no price", param, ctx)
        return price


@click.command("usage")
@click.argument("references", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option(
    "--since", type=Since(), metavar="WHEN", help="Only runs submitted since then: 12h, 30d, 4w, or 2026-11-01."
)
@click.option("--by", type=click.Choice(list(KINDS)), help="Add up the jobs that have the same value of this.")
@click.option("--price", type=Price(), metavar="N", help="Price of a GPU-hour.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def command(
    references: tuple[str, ...],
    since: float | None,
    by: str | None,
    price: float | None,
    as_json: bool,
    runs: Path,
) -> None:
    """Show the GPU-hours and core-hours that the jobs of each RUN have used, and how they spent the time.

    With --since or --by, and without RUN, count all runs. Reads only the folders of runs and asks no scheduler.
    """
    found = _runs(references, runs, everything=since is not None or by is not None)
    if since is not None:
        found = [run for run in found if _submitted(run) >= since]
    jobs = _jobs(found)
    if as_json:
        click.echo(json.dumps(_as_json(jobs, by, price), indent=2))
    elif jobs:
        out = tables.console()
        out.print(usage_table(rows_of(jobs, by), price, out))
    else:
        click.echo(f"no runs in {runs}" + (" since then" if since is not None else ""))


def _runs(references: Sequence[str], runs: Path, everything: bool) -> list[RunFolder]:
    if everything and not references:
        return list_runs(runs)
    return list(dict.fromkeys(find(runs, reference) for reference in references or (None,)))


def _submitted(run: RunFolder) -> float:
    try:
        return (run.path / "plan.json").stat().st_mtime
    except OSError:  # deleted meanwhile
        return 0.0


def _jobs(runs: Sequence[RunFolder]) -> list[tuple[JobUsage, float]]:
    """The jobs of these runs, each with its estimated GPU-hours; what cannot be read of a run among several is said."""
    found = []
    for run in runs:
        try:
            plan = run.plan()
            estimates = _estimates(plan)
            jobs = usage(run, None if BACKENDS.trouble(plan.backend) else BACKENDS[plan.backend].ended(run))
        except (RunDeletedError, FormatError, FileNotFoundError) as error:
            if len(runs) == 1 and isinstance(error, UserError):
                raise
            click.echo(f"note: {printable(str(error))}", err=True)
            continue
        found += [(job, estimates[job.job.name]) for job in jobs]
        if older := [job.job.name for job in jobs if job.unrecorded]:
            what = "attempts before the latest are not recorded here and count as queued"
            click.echo(f"note: {run.name}: {what}: {', '.join(older)}", err=True)
    return found


def _estimates(plan: Plan) -> Mapping[str, float]:
    """GPU-hours of each job: the middle of what `submit --dry-run` tells; NaN where they are not known."""
    unknown = {job.name: math.nan if job.resources.gpus else 0.0 for job in plan.jobs}
    if not any(job.resources.gpus for job in plan.jobs):
        return unknown
    try:
        estimator = Estimator(plan)
        return {job.name: estimator.of(job).gpu_hours.middle for job in plan.jobs}
    except (UserError, LookupError, ValueError):  # a task that is not installed here, or configured as it no longer is
        return unknown


def _as_json(jobs: Sequence[tuple[JobUsage, float]], by: str | None, price: float | None) -> dict[str, Any]:
    rows = rows_of(jobs, by)
    told = [row.as_json(price) for row in rows]
    if by is None:
        for each, (job, _) in zip(told, jobs, strict=True):
            each |= {kind: of(job) for kind, of in KINDS.items()}
    return {"rows": told, "sum": total(rows, {}).as_json(price)}
