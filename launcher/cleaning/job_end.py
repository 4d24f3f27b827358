"""What `checkpoints.after` of a job's config asks for, once the job is done."""

from launcher.cleaning import find, remove
from launcher.cleaning.needs import Needs
from launcher.cleaning.remove import Cleaned
from launcher.plan import PlannedJob
from launcher.runs.find import list_runs
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import JobView


def clean(run: RunFolder, job: PlannedJob) -> list[str]:
    """Delete the checkpoints of a job that is done but those that its config keeps, or that another job needs; says
    what became of them.

    Raises:
        OSError: they cannot be looked at.
        UserError: one cannot be read, or another process cleans.
    """
    run = RunFolder(run.path.resolve())
    runs, needs, result = run.path.parent, Needs(), Cleaned()
    with remove.alone(runs):
        needs.read(list_runs(runs))
        if needs.unknown:
            return [f"{trouble}; so all checkpoints stay" for trouble in needs.unknown]
        things, result.kept = find.in_job(run, JobView(job, Status.DONE, run.state(job.name), ""), needs)
        remove.remove(runs, things, needs, result, lambda thing: None)
    freed = sum(thing.bytes for thing in result.things)
    return [
        f"deleted {', '.join(thing.path.name for thing in result.things) or 'no checkpoint'}: {freed:,} bytes",
        *(f"kept {kept.path.name}: {kept.why}" for kept in result.kept),
        *(f"could not be deleted: {trouble}" for trouble in result.faults),
    ]
