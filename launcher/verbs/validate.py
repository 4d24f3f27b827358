"""`launcher validate`."""

from pathlib import Path

import click

from launcher.compiler import compile_pipeline
from launcher.pipeline import load
from launcher.verbs.arguments import file_argument, runs_option, set_option


@click.command("validate")
@file_argument
@set_option
@runs_option
def command(file: Path, overrides: tuple[str, ...], runs: Path) -> None:
    """Check the pipeline FILE, every job's configuration included. Creates nothing."""
    plan = compile_pipeline(load(file, overrides), "validate", runs.resolve())
    click.echo(f"{file}: valid, {len(plan.jobs)} jobs")
