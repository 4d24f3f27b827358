"""`launcher list`."""

from pathlib import Path

import click

from launcher.backends import BACKENDS, look_all
from launcher.runs.find import list_runs
from launcher.verbs.arguments import backend_option, runs_option
from launcher.view import tables
from locat.contract.text import printable


@click.command("list")
@backend_option
@runs_option
def command(backend: str, runs: Path) -> None:
    """List all runs, newest first.

    With --backend kubernetes, include runs that were applied with kubectl; afterwards every verb knows them here.
    """
    BACKENDS[backend].adopt(runs.resolve())
    known = list_runs(runs)
    if not known:
        click.echo(f"no runs in {runs}")
        return
    views, unreadable = look_all(known)
    tables.console().print(tables.runs_table(views))
    for trouble in unreadable:
        click.echo(f"note: {printable(trouble)}", err=True)
    for name in dict.fromkeys(view.plan.backend for view in views):
        if trouble := BACKENDS.trouble(name):
            click.echo(f"note: its runs are shown as last recorded: {trouble}", err=True)
