"""`launcher retry`."""

from pathlib import Path

import click

from launcher.actions.retry import NOW, SUBMITTED, retry
from launcher.runs.find import find
from launcher.verbs.arguments import job_argument, run_argument, runs_option


@click.command("retry")
@run_argument
@job_argument
@click.option(
    "--force", is_flag=True, help="Take over jobs that another machine ran at last sight; that machine must be dead."
)
@click.option(
    "--code",
    type=click.Choice([SUBMITTED, NOW]),
    default=SUBMITTED,
    show_default=True,
    help="Code that jobs run from now on: the submitted copy, or a new copy of the code as it is now.",
)
@runs_option
def command(reference: str | None, job: str | None, force: bool, code: str, runs: Path) -> None:
    """Resume RUN; with JOB, only that job and the jobs that it needs.

    Jobs that failed, were cancelled or were lost get their full number of retries again, and their logs stay.
    They run the code that you submitted, even if you have edited it since.
    """
    retry(find(runs, reference), job, force, code, click.echo)
