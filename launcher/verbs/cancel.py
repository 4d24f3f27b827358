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
    help="Time that running jobs get to checkpoint before they are killed.",
)
@runs_option
def command(reference: str | None, job: str | None, grace: float, runs: Path) -> None:
    """Stop RUN, or only JOB and the jobs that need it. Works even if the run's supervisor is dead."""
    cancel(find(runs, reference), job, grace, click.echo)
