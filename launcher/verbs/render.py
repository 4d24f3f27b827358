"""`launcher render`."""

from pathlib import Path

import click

from launcher.actions.plans import compiled
from launcher.backends import BACKENDS
from launcher.verbs.arguments import (
    backend_option,
    files_argument,
    folder_name,
    note,
    runs_option,
    set_option,
)
from locat.contract import durable
from locat.contract.errors import UserError


@click.command("render")
@files_argument
@set_option
@click.option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the files into."
)
@click.option("--run-id", metavar="NAME", callback=folder_name, help="Name of the run; by default a new name.")
@backend_option
@runs_option
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    output: Path | None,
    run_id: str | None,
    backend: str,
    runs: Path,
) -> None:
    """Print what `submit` would give to the scheduler for each pipeline FILE. Creates no run.

    For Kubernetes, apply the folder that -o names with `kubectl apply -k` or `-f`.
    """
    if len(files) > 1 and (output or run_id):
        raise UserError("one FILE at a time with --output or --run-id")
    for _, plan in compiled(files, overrides, BACKENDS[backend].places(runs), backend, run_id=run_id, tell=note):
        if output is None:
            click.echo(BACKENDS[backend].render(plan), nl=False)
            continue
        for name, text in BACKENDS[backend].files(plan).items():
            output.mkdir(parents=True, exist_ok=True)
            durable.write_text(output / name, text)
            click.echo(output / name)
