"""Runs that ended, or that nobody sees to any more, go on from what is done."""

from collections.abc import Callable

from launcher.backends import BACKENDS, look
from launcher.compile import secrets
from launcher.plan import Plan
from launcher.runs.find import check_supervised_here, find_job, is_own
from launcher.runs.folder import RunFolder
from launcher.runs.release import release
from launcher.runs.state import Status
from locat.contract.errors import UserError

SUBMITTED, NOW = "submitted", "now"
"""Which code jobs run from then on: the run's own, or a copy of what is here now."""


def retry(run: RunFolder, job: str | None, force: bool, code: str, tell: Callable[[str], None]) -> None:
    """Go on with a run; with `job`, only with that job and what it needs.

    Args:
        force: also what another machine ran when last heard of.
        code: `SUBMITTED` or `NOW`.
        tell: is given a line for each thing that is done.

    Raises:
        UserError: the run is another user's, another machine may run it, or a secret or its code is missing.
    """
    if not is_own(run):
        raise UserError(f"{run.path}: another user's run, whose commands would run as you; who made it can retry it")
    plan = run.plan()
    secrets.check(plan, BACKENDS[plan.backend].takes_environment)
    _check_elsewhere(run, plan, force)
    _settle_code(run, plan, code, tell)
    names = with_needs(plan, find_job(plan, job)) if job else {each.name for each in plan.jobs}
    released = release(run, look(run, plan), names)
    BACKENDS[plan.backend].forget(run, names)
    if released:
        tell(f"to be run again: {', '.join(released)}")
    view = look(run, plan)
    if view.ended:
        tell(f"nothing to retry: {run.name} is {view.status}")
        return
    tell(f"{BACKENDS[plan.backend].start(run)} ({run.name})")


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


def _settle_code(run: RunFolder, plan: Plan, code: str, tell: Callable[[str], None]) -> None:
    """See that the code is there that jobs are to run, or take today's."""
    if not BACKENDS[plan.backend].places(run.path.parent).sees_folders:
        if code == NOW:
            raise UserError(
                f"{run.name}: on {plan.backend} the image has the code; submit a run that names another image"
            )
        return
    from launcher.plugins import staged
    from launcher.snapshot import store
    from launcher.snapshot.take import take  # a tenth of the time that a verb takes

    copy = run.code_folder()
    if code == SUBMITTED and copy is not None and not BACKENDS[plan.backend].runs_here:
        if not store.is_whole(copy):
            raise UserError(
                f"{copy}: the code that {run.name} was submitted with is gone or was changed; put it back,"
                f" or take today's on purpose: `launcher retry {run.name} --code now`"
            )
        return
    if all(run.state(job.name).status is Status.DONE for job in plan.jobs):
        return
    staged.forget()
    if plan.plugins:
        from launcher.plugins import use

        use.of_run(run.name, plan.plugins)
    taken = take(run.path.parent, plan.secrets, "retry --code now" if code == NOW else "retry")
    if run.code().get("PYTHONPATH") == taken.python_path:
        return  # nothing was edited
    taken.write(run.path)
    before = f", instead of {copy.name[:12]}" if copy else ""
    tell(f"jobs that begin from now on run today's code, {taken.source.digest[:12]}{before}")


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
