"""`launcher validate`."""

from pathlib import Path

import click

from launcher.actions.plans import compiled
from launcher.backends.base import Places
from launcher.plan import DEFAULT_BACKEND
from launcher.verbs.arguments import files_argument, runs_option, set_option


@click.command("validate")
@files_argument
@set_option
@runs_option
def command(files: tuple[Path, ...], overrides: tuple[str, ...], runs: Path) -> None:
    """Check each pipeline FILE, every job's configuration included. Creates nothing."""
    made = compiled(files, overrides, Places(runs.resolve()), DEFAULT_BACKEND)
    for file, (_, plan) in zip(files, made, strict=True):
        click.echo(f"{file}: valid, {len(plan.jobs)} jobs")
