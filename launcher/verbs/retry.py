"""`launcher retry`."""

from pathlib import Path

import click

from launcher.actions.retry import NOW, SUBMITTED, retry
from launcher.runs.find import find
from launcher.verbs.arguments import job_argument, run_argument, runs_option


@click.command("retry")
@run_argument
@job_argument
@click.option("--force", is_flag=True, help="Also what another machine ran when last heard of; it must be dead.")
@click.option(
    "--code",
    type=click.Choice([SUBMITTED, NOW]),
    default=SUBMITTED,
    show_default=True,
    help="Which code jobs run from now on: the run's own, or a copy of what is here now.",
)
@runs_option
def command(reference: str | None, job: str | None, force: bool, code: str, runs: Path) -> None:
    """Go on with RUN from what is done; with JOB, only with that job and what it needs.

    Jobs that failed, were cancelled or were lost get their full number of retries again; their logs stay.
    They run the code that was there when RUN was submitted, whatever was edited since.
    """
    retry(find(runs, reference), job, force, code, click.echo)
