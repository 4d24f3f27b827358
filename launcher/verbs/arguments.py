"""Arguments that several verbs take, and the plans that files and options make."""

import re
from collections.abc import Iterable
from pathlib import Path

import click

from launcher.backends import BACKENDS
from launcher.backends.places import places
from launcher.compiler import compile_pipeline
from launcher.completion import complete_job, complete_run
from launcher.errors import PipelineError, Problem
from launcher.pipeline import Pipeline, load
from launcher.plan import Plan
from launcher.run_folder import new_run_id

runs_option = click.option(
    "--runs-dir",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="LAUNCHER_RUNS",
    show_envvar=True,
    default="runs",
    show_default=True,
    help="Folder that holds the runs.",
)
backend_option = click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    envvar="LAUNCHER_BACKEND",
    show_envvar=True,
    default="local",
    show_default=True,
    help="Where to run.",
)
run_argument = click.argument("reference", metavar="[RUN]", required=False, shell_complete=complete_run)
job_argument = click.argument("job", required=False, shell_complete=complete_job)
files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the pipeline; repeatable."
)


def folder_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check what becomes (a part of) the name of a run's folder."""
    if value is not None and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value):
        raise click.BadParameter("letters, digits and '_.-' make a folder's name")
    return value


def compiled(
    files: Iterable[Path],
    overrides: tuple[str, ...],
    runs: Path,
    backend: str,
    name: str | None = None,
    run_id: str | None = None,
) -> list[tuple[Pipeline, Plan]]:
    """Each file's pipeline and its plan, under a new run id (that begins with `name`) unless one is given.

    Raises:
        PipelineError: one of them is not valid; lists the problems of all.
    """
    made: list[tuple[Pipeline, Plan]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            pipeline = load(file, overrides)
            chosen = run_id or new_run_id(name or pipeline.name)
            made.append((pipeline, compile_pipeline(pipeline, chosen, *places(backend, runs), backend)))
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
    return made
