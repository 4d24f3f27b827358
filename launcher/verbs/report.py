"""`launcher report`."""

import subprocess
import sys
from pathlib import Path

import click

from launcher import interpreter
from launcher.backends import look
from launcher.runs.find import find, is_own
from launcher.runs.state import Status
from launcher.verbs.arguments import runs_option
from launcher.view import summary
from launcher.view.completion import complete_run
from locat.contract.errors import UserError
from locat.contract.tracking import TrackingCursor
from locat.contract.tracking_uri import checked, located


@click.command("report")
@click.argument("references", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder to write into; by default report/ in the folder of the first RUN.",
)
@click.option("--tracking-uri", metavar="URI", help="MLflow's address from here, if it is not that of the jobs.")
@runs_option
def command(references: tuple[str, ...], output: Path | None, tracking_uri: str | None, runs: Path) -> None:
    """Write the paper's tables from MLflow's data about each RUN: Markdown, HTML, CSV, and top-1 against mIoU.

    The tables show the published numbers beside those of the runs; seeds may come from several RUNs. Also adds the
    report to each RUN in MLflow.
    """
    found = list(dict.fromkeys(find(runs, reference) for reference in references or (None,)))
    for run in found:
        view = look(run, run.plan())
        done = [job.name for job in view.having([Status.DONE])]
        if len(done) < len(view.jobs):
            click.echo(f"note: {run.name}: {len(done)} of {len(view.jobs)} jobs are done", err=True)
        unsent = [name for name in done if not TrackingCursor.read(run.job(name)).is_finished]
        if unsent and run.tracking.exists():  # else its folder is not seen here
            remedy = f"`{summary.command('sync', run)}` sends what is left of {', '.join(unsent)}"
            click.echo(f"note: {run.name}: MLflow has not everything; {remedy}", err=True)
    # In a process of its own: the launcher imports neither MLflow nor matplotlib.
    words = [str(run.path) for run in found]
    if output:
        words += ["--output", str(output)]
    if tracking_uri:
        words += ["--tracking-uri", _reached(tracking_uri)]
    for run in found:  # another user's would run as this one
        if run.plan().plugins and is_own(run) and (code := run.code_folder()):
            words += ["--plugins", str(code)]
    sys.exit(subprocess.call(interpreter.module("locat.report", *words), stdin=subprocess.DEVNULL))


def _reached(uri: str) -> str:
    """`uri`, if MLflow can be reached by it; a relative path of a store is from the shell's folder."""
    try:
        return located(checked(uri), Path.cwd())
    except ValueError as error:
        raise UserError(f"--tracking-uri: {error}") from error
