"""Jobs are stopped, with or without a living supervisor."""

from collections.abc import Callable

from launcher.backends import BACKENDS, look
from launcher.runs.find import find_job
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from locat.contract import durable

GRACE = 60
"""Seconds to checkpoint in before a running job is killed."""


def cancel(run: RunFolder, job: str | None, grace: float, tell: Callable[[str], None]) -> None:
    """Stop a run, or only a job and what needs it; `tell` is given a line for each thing that is done.

    Raises:
        UserError: there is no such job, or it does not die.
    """
    plan = run.plan()
    names = [find_job(plan, job)] if job else [planned.name for planned in plan.jobs]
    view = look(run, plan)
    running = [each.name for each in view.running if each.name in names]
    if not running and not any(each.name in names for each in view.waiting):
        tell(f"nothing to cancel: {job or run.name} has ended")
        return
    # The marker comes first: whatever starts from here on sees it and does not begin.
    durable.write_text(run.job_cancelled(job) if job else run.cancelled, "")
    if running:
        tell(f"stopping {', '.join(running)} (up to {grace:g} s to checkpoint)")
    BACKENDS[plan.backend].stop(run, names, grace)
    after = [each.name for each in look(run, plan).having([Status.CANCELLED]) if each.name in names]
    tell(f"cancelled: {', '.join(after) or 'nothing, all ended meanwhile'}")
