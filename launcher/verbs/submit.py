"""`launcher submit`."""

import sys
from pathlib import Path

import click

from launcher.actions.plans import present
from launcher.actions.submit import prepare, submit
from launcher.actions.wait import wait
from launcher.backends import BACKENDS
from launcher.plan import Plan
from launcher.runs.create import Start
from launcher.runs.folder import RunFolder
from launcher.verbs.arguments import backend_option, files_argument, folder_name, note, runs_option, set_option
from launcher.view import summary, tables, watch
from launcher.view.tree import tree


@click.command("submit")
@files_argument
@click.option("--watch", "watched", is_flag=True, help="Show the run until it ends; Ctrl-C leaves it running.")
@click.option("--wait", "waited", is_flag=True, help="Return when the run has ended, without showing it.")
@set_option
@click.option("--name", metavar="NAME", callback=folder_name, help="First part of the run's name.")
@click.option(
    "--from",
    "origin",
    metavar="RUN/JOB",
    help="Start from that job's newest checkpoint, or from RUN/JOB@best or @STEP.",
)
@click.option("--dry-run", is_flag=True, help="Print what would run; create nothing.")
@backend_option
@runs_option
def command(
    files: tuple[Path, ...],
    watched: bool,
    waited: bool,
    overrides: tuple[str, ...],
    name: str | None,
    origin: str | None,
    dry_run: bool,
    backend: str,
    runs: Path,
) -> None:
    """Run the pipeline FILE, detached from this terminal. Each of several FILEs becomes one run.

    Creates nothing unless all FILEs are valid. With --from, the job of that name, or the only one that trains,
    continues from another run's checkpoint under its own config. With --watch or --wait, exits with code 0 if all jobs
    are done, 2 if a job's configuration is invalid, otherwise 1.
    """
    prepared = prepare(files, overrides, backend, runs, name, origin, note)
    for text in dict.fromkeys(text for each in prepared for text in BACKENDS[backend].notes(each.plan)):
        note(text)
    if dry_run:
        for each in prepared:
            present(each.plan)
            click.echo(tree(each.plan))
            _tell(each.start)
        return
    started = []
    for run, each in submit(prepared, overrides, backend, runs):
        click.echo(f"submitted {run.name}; `{summary.command('status', run)}` shows how it stands")
        _tell(each.start)
        started.append((run, each.plan))
    if watched or waited:
        codes = [_follow(run, plan, shown=watched) for run, plan in started]
        sys.exit(next((code for code in (130, 2, 1) if code in codes), 0))


def _tell(start: Start | None) -> None:
    if start is not None:
        click.echo(f"{start.job} goes on from {start.reference}")


def _follow(run: RunFolder, plan: Plan, shown: bool) -> int:
    out = tables.console()
    try:
        view = watch.watch(run, plan, out) if shown else wait(run, plan)
    except KeyboardInterrupt:
        status, cancel = summary.command("status", run), summary.command("cancel", run)
        click.echo(f"\nthe run goes on: `{status}` shows it, `{cancel}` stops it")
        return 130
    out.print(summary.run_report(run, view, out))
    return view.exit_code
