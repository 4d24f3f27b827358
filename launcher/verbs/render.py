"""`launcher render`."""

from pathlib import Path

import click

from launcher.backends import BACKENDS
from launcher.compiler import compile_pipeline
from launcher.pipeline import load
from launcher.run_folder import new_run_id
from launcher.verbs.arguments import file_argument, runs_option, set_option


@click.command("render")
@file_argument
@set_option
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="local", show_default=True)
@runs_option
def command(file: Path, overrides: tuple[str, ...], backend: str, runs: Path) -> None:
    """Print what `submit` would hand to the scheduler for the pipeline FILE. Creates nothing."""
    pipeline = load(file, overrides)
    plan = compile_pipeline(pipeline, new_run_id(pipeline.name), runs.resolve())
    click.echo(BACKENDS[backend].render(plan), nl=False)
