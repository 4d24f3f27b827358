"""`launcher retry`."""

from pathlib import Path

import click

from launcher.backends import BACKENDS, look
from launcher.compile import secrets
from launcher.plan import Plan
from launcher.runs.find import check_supervised_here, find, find_job, is_own
from launcher.runs.folder import RunFolder
from launcher.runs.release import release
from launcher.runs.state import Status
from launcher.verbs.arguments import job_argument, run_argument, runs_option
from locat.contract.errors import UserError


@click.command("retry")
@run_argument
@job_argument
@click.option("--force", is_flag=True, help="Also what another machine ran when last heard of; it must be dead.")
@runs_option
def command(reference: str | None, job: str | None, force: bool, runs: Path) -> None:
    """Go on with RUN from what is done; with JOB, only with that job and what it needs.

    Jobs that failed, were cancelled or were lost get their full number of retries again; their logs stay.
    """
    run = find(runs, reference)
    if not is_own(run):
        raise UserError(f"{run.path}: another user's run, whose commands would run as you; who made it can retry it")
    plan = run.plan()
    secrets.check(plan, BACKENDS[plan.backend].takes_environment)
    _check_elsewhere(run, plan, force)
    names = with_needs(plan, find_job(plan, job)) if job else {each.name for each in plan.jobs}
    released = release(run, look(run, plan), names)
    BACKENDS[plan.backend].forget(run, names)
    if released:
        click.echo(f"to be run again: {', '.join(released)}")
    view = look(run, plan)
    if view.ended:
        click.echo(f"nothing to retry: {run.name} is {view.status}")
        return
    click.echo(f"{BACKENDS[plan.backend].start(run)} ({run.name})")


def _check_elsewhere(run: RunFolder, plan: Plan, force: bool) -> None:
    """Two machines must not run one job: where locks are not seen, only the user can know that the other is dead."""
    if force:
        if run.supervised_elsewhere():  # one that lives here is no hindrance
            run.supervisor_lock.unlink(missing_ok=True)
        return
    for job in look(run, plan).having([Status.LOST]):
        if job.state.status is Status.RUNNING and job.state.is_elsewhere:
            raise UserError(f"{job.name}: {job.reason}; retry there, or with --force if that machine is gone")
    check_supervised_here(run)


def with_needs(plan: Plan, job: str) -> set[str]:
    """A job and all jobs upstream of it."""
    names: set[str] = set()
    waiting = [job]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += plan.job(name).needs
    return names
