"""`launcher validate`."""

from pathlib import Path

import click

from launcher.compiler import compile_pipeline
from launcher.errors import PipelineError, Problem
from launcher.pipeline import load
from launcher.verbs.arguments import runs_option, set_option


@click.command("validate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@set_option
@runs_option
def command(files: tuple[Path, ...], overrides: tuple[str, ...], runs: Path) -> None:
    """Check each pipeline FILE, every job's configuration included. Creates nothing."""
    problems: list[Problem] = []
    for file in files:
        try:
            plan = compile_pipeline(load(file, overrides), "validate", runs.resolve())
            click.echo(f"{file}: valid, {len(plan.jobs)} jobs")
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
