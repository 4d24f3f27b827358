"""Arguments that several verbs take."""

import os
import re
from pathlib import Path
from typing import Any

import click

from launcher.plan import DEFAULT_BACKEND
from launcher.runs.create import check_name
from launcher.runs.errors import RunError
from launcher.runs.find import folder_of_runs
from launcher.view.completion import BackendName, complete_job, complete_run
from locat.contract.errors import UserError

UNITS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def seconds_in(text: str) -> float | None:
    """Convert a span such as 12h, 30d or 4w to seconds; return None for any other text."""
    found = re.fullmatch(r"(\d{1,6})([hdw])", text, re.ASCII)
    return int(found[1]) * UNITS[found[2]] if found else None


class RunsFolder(click.Path):
    """The folder of runs, by a path that all that is told of a run can hold; `~` is a home folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            path = folder_of_runs(Path(os.fsdecode(value)))
        except UserError as error:
            self.fail(str(error), param, ctx)
        super().convert(path, param, ctx)
        return path


runs_option = click.option(
    "--runs-dir",
    "runs",
    type=RunsFolder(file_okay=False, path_type=Path),
    envvar="LAUNCHER_RUNS",
    show_envvar=True,
    default="runs",
    show_default=True,
    help="Folder that holds the runs.",
)
backend_option = click.option(
    "--backend",
    type=BackendName(),
    envvar="LAUNCHER_BACKEND",
    show_envvar=True,
    default=DEFAULT_BACKEND,
    show_default=True,
    help="Backend to use.",
)
run_argument = click.argument("reference", metavar="[RUN]", required=False, shell_complete=complete_run)
job_argument = click.argument("job", required=False, shell_complete=complete_job)
files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the pipeline; repeatable."
)


def note(text: str) -> None:
    """Print a note on stderr, apart from the output of the verb."""
    click.echo(f"note: {text}", err=True)


def folder_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check text that becomes the name of a run's folder, or a part of it."""
    if value is not None:
        try:
            check_name(value)
        except RunError as error:
            raise click.BadParameter(str(error)) from None
    return value
