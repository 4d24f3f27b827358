"""`launcher retry`."""

from pathlib import Path

import click

from launcher import secrets
from launcher.backends import BACKENDS, look
from launcher.plan import Plan
from launcher.retry import release
from launcher.run_folder import find, find_job
from launcher.verbs.arguments import run_argument, runs_option


@click.command("retry")
@run_argument
@click.argument("job", required=False)
@runs_option
def command(reference: str | None, job: str | None, runs: Path) -> None:
    """Go on with RUN from what is done; with JOB, only with that job and what it needs.

    Jobs that failed, were cancelled or were lost get their full number of retries again; their logs stay.
    """
    run = find(runs, reference)
    plan = run.plan()
    secrets.check(plan)
    names = _with_needs(plan, find_job(plan, job)) if job else {each.name for each in plan.jobs}
    released = release(run, look(run, plan), names)
    if released:
        click.echo(f"to be run again: {', '.join(released)}")
    view = look(run, plan)
    if view.ended:
        click.echo(f"nothing to retry: {run.name} is {view.status}")
        return
    click.echo(f"{BACKENDS[plan.backend].start(run)} ({run.name})")


def _with_needs(plan: Plan, job: str) -> set[str]:
    """A job and all jobs upstream of it."""
    return {job}.union(*(_with_needs(plan, need) for need in plan.job(job).needs))
