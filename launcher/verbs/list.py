"""`launcher list`."""

from pathlib import Path

import click

from launcher import tables
from launcher.backends import look_all
from launcher.run_folder import list_runs
from launcher.verbs.arguments import runs_option


@click.command("list")
@runs_option
def command(runs: Path) -> None:
    """List all runs, newest first."""
    known = list_runs(runs)
    if not known:
        click.echo(f"no runs in {runs}")
        return
    tables.console().print(tables.runs_table(look_all(known)))
