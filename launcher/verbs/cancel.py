"""`launcher cancel`."""

from pathlib import Path

import click

from launcher.backends import BACKENDS, look
from launcher.runs.find import find, find_job
from launcher.runs.state import Status
from launcher.verbs.arguments import job_argument, run_argument, runs_option
from locat.contract import durable


@click.command("cancel")
@run_argument
@job_argument
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Time to checkpoint before a running job is killed.",
)
@runs_option
def command(reference: str | None, job: str | None, grace: float, runs: Path) -> None:
    """Stop RUN, or only JOB and what needs it. Works with and without a living supervisor."""
    run = find(runs, reference)
    plan = run.plan()
    names = [find_job(plan, job)] if job else [planned.name for planned in plan.jobs]
    view = look(run, plan)
    running = [each.name for each in view.running if each.name in names]
    if not running and not any(each.name in names for each in view.waiting):
        click.echo(f"nothing to cancel: {job or run.name} has ended")
        return
    # The marker comes first: whatever starts from here on sees it and does not begin.
    durable.write_text(run.job_cancelled(job) if job else run.cancelled, "")
    if running:
        click.echo(f"stopping {', '.join(running)} (up to {grace:g} s to checkpoint)")
    BACKENDS[plan.backend].stop(run, names, grace)
    after = [each.name for each in look(run, plan).having([Status.CANCELLED]) if each.name in names]
    click.echo(f"cancelled: {', '.join(after) or 'nothing, all ended meanwhile'}")
