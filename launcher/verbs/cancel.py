"""`launcher cancel`."""

from pathlib import Path

import click

from launcher.actions.cancel import GRACE, cancel
from launcher.runs.find import find
from launcher.verbs.arguments import job_argument, run_argument, runs_option


@click.command("cancel")
@run_argument
@job_argument
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=GRACE,
    show_default=True,
    metavar="SECONDS",
    help="Time to checkpoint before a running job is killed.",
)
@runs_option
def command(reference: str | None, job: str | None, grace: float, runs: Path) -> None:
    """Stop RUN, or only JOB and what needs it. Works with and without a living supervisor."""
    cancel(find(runs, reference), job, grace, click.echo)
