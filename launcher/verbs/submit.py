"""`launcher submit`."""

import re
import sys
from pathlib import Path

import click

from launcher import tables, watch
from launcher.backends import BACKENDS
from launcher.compiler import compile_pipeline
from launcher.pipeline import load
from launcher.plan import Plan
from launcher.run_folder import RunFolder, create, new_run_id
from launcher.tree import tree
from launcher.verbs.arguments import file_argument, runs_option, set_option


def _folder_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise click.BadParameter("letters, digits and '_.-' make a folder's name")
    return value


@click.command("submit")
@file_argument
@click.option("--watch", "watched", is_flag=True, help="Show the run until it ends; Ctrl-C leaves it running.")
@click.option("--wait", "waited", is_flag=True, help="Return when the run has ended, without showing it meanwhile.")
@set_option
@click.option("--name", metavar="NAME", callback=_folder_name, help="First part of the run's name.")
@click.option("--dry-run", is_flag=True, help="Show what would run; create nothing.")
@runs_option
def command(
    file: Path, watched: bool, waited: bool, overrides: tuple[str, ...], name: str | None, dry_run: bool, runs: Path
) -> None:
    """Run the pipeline FILE on this machine, detached from this terminal.

    With --watch or --wait exits 0 if all jobs are done, 2 if a job's configuration is invalid, else 1.
    """
    pipeline = load(file, overrides)
    plan = compile_pipeline(pipeline, new_run_id(name or pipeline.name), runs.resolve())
    if dry_run:
        click.echo(tree(plan))
        return
    backend = BACKENDS["local"]
    backend.check(plan)
    run = create(plan, file.read_text() + "".join(f"# --set {override}\n" for override in overrides))
    backend.start(run)
    click.echo(f"submitted {run.name}; `{tables.command('status', run)}` shows how it stands")
    if watched or waited:
        sys.exit(_follow(run, plan, shown=watched))


def _follow(run: RunFolder, plan: Plan, shown: bool) -> int:
    out = tables.console()
    try:
        view = watch.watch(run, plan, out) if shown else watch.wait(run, plan)
    except KeyboardInterrupt:
        status, cancel = tables.command("status", run), tables.command("cancel", run)
        click.echo(f"\nthe run goes on: `{status}` shows it, `{cancel}` stops it")
        return 130
    out.print(tables.run_report(run, view))
    return view.exit_code
