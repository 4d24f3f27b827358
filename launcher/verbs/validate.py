"""`launcher validate`."""

from pathlib import Path

import click

from launcher.actions.plans import compiled
from launcher.backends.base import Places
from launcher.plan import DEFAULT_BACKEND
from launcher.verbs.arguments import files_argument, note, runs_option, set_option


@click.command("validate")
@files_argument
@set_option
@runs_option
@click.option("--no-plugins", is_flag=True, help="Run none of the code that `plugins` names, nor check what it brings.")
def command(files: tuple[Path, ...], overrides: tuple[str, ...], runs: Path, no_plugins: bool) -> None:
    """Check each pipeline FILE, every job's configuration included. Creates nothing.

    Code that a pipeline names under `plugins` is imported for that; --no-plugins is for a pipeline from somebody else.
    """
    places = Places(runs.resolve())
    made = compiled(files, overrides, places, DEFAULT_BACKEND, tell=note, imports_plugins=not no_plugins)
    for file, (_, plan) in zip(files, made, strict=True):
        click.echo(f"{file}: valid, {len(plan.jobs)} jobs")
