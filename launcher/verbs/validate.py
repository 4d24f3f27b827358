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
@click.option(
    "--no-plugins", is_flag=True, help="Do not run the code that `plugins` names, and do not check what it provides."
)
def command(files: tuple[Path, ...], overrides: tuple[str, ...], runs: Path, no_plugins: bool) -> None:
    """Check each pipeline FILE, including the configuration of every job. Creates nothing.

    Imports the code that a pipeline names under `plugins`; use --no-plugins for a pipeline that you do not trust.
    """
    places = Places(runs.resolve())
    made = compiled(files, overrides, places, DEFAULT_BACKEND, tell=note, imports_plugins=not no_plugins)
    for file, (_, plan) in zip(files, made, strict=True):
        click.echo(f"{file}: valid, {len(plan.jobs)} jobs")
