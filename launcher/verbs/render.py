"""`launcher render`."""

from pathlib import Path

import click

from launcher.backends import BACKENDS
from launcher.verbs.arguments import backend_option, compiled, files_argument, runs_option, set_option


@click.command("render")
@files_argument
@set_option
@backend_option
@runs_option
def command(files: tuple[Path, ...], overrides: tuple[str, ...], backend: str, runs: Path) -> None:
    """Print what `submit` would hand to the scheduler for each pipeline FILE. Creates nothing."""
    for _, plan in compiled(files, overrides, runs, backend):
        click.echo(BACKENDS[backend].render(plan), nl=False)
