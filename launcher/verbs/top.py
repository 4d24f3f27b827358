"""`launcher top`."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.live import Live

from launcher import machine
from launcher.backends import BACKENDS, look_each
from launcher.runs.find import list_runs
from launcher.runs.load import RunLoad, loads
from launcher.verbs.arguments import backend_option, runs_option
from launcher.view import columns, tables
from launcher.view.top import top_report, total
from locat.contract.text import printable

AT_LEAST, IN_A_LOG = 2.0, 15.0
"""Seconds between two looks, and between two in a log; more where a scheduler may be asked more rarely."""


@click.command("top")
@click.option("--watch", "watched", is_flag=True, help="Keep the display up to date until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, one line per refresh.")
@backend_option
@runs_option
def command(watched: bool, as_json: bool, backend: str, runs: Path) -> None:
    """Show the resources that the jobs of all runs use now, and the number of waiting jobs.

    Asks each scheduler once. With --backend kubernetes, include runs that were applied with kubectl.
    """
    BACKENDS[backend].adopt(runs.resolve())
    out = tables.console()
    if watched and out.is_terminal and not out.is_dumb_terminal and not as_json:
        with Live(console=out, auto_refresh=False) as live:
            for found, notes in _looks(runs, AT_LEAST, watched):
                live.update(top_report(found, columns.terminal_width()), refresh=True)
                _tell(notes)
        return
    for found, notes in _looks(runs, AT_LEAST if as_json else IN_A_LOG, watched):
        if as_json:
            click.echo(json.dumps(_as_json(found, notes), indent=None if watched else 2))
        else:
            out.print(top_report(found, columns.terminal_width()))
            _tell(notes)
        sys.stdout.flush()


def _looks(runs: Path, pause: float, watched: bool) -> Iterator[tuple[list[RunLoad], list[str]]]:
    """What runs occupy now and then, and what is to be said of those that cannot be looked at; each is said once."""
    said: set[str] = set()
    while True:
        views, notes = look_each(list_runs(runs))
        troubles = {name: BACKENDS.trouble(name) for name in {view.plan.backend for view in views.values()}}
        notes += [f"runs of {name} are shown as last recorded: {why}" for name, why in troubles.items() if why]
        found = loads(views)
        yield found, [note for note in notes if note not in said]
        if not watched:
            return
        said.update(notes)
        usable = {load.view.plan.backend for load in found if not troubles[load.view.plan.backend]}
        time.sleep(max([pause, *(BACKENDS[name].poll for name in usable)]))


def _tell(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)


def _as_json(found: list[RunLoad], notes: list[str]) -> dict[str, Any]:
    return {
        "runs": [load.as_json() for load in found],
        "held": total(found),
        "machine": {"cores": machine.cores(), "gpus": len(machine.gpus())},
        "notes": notes,
    }
