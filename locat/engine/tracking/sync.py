"""Sends to MLflow what jobs that have ended could not: `python -m locat.engine.tracking.sync JOB_FOLDER=STATUS...`.

STATUS (an MLflow RunStatus name) is how a job ended that was killed and could not record it. `--run STATUS`
says how their pipeline run ended, if it has. `launcher sync RUN` runs this for all jobs of a run. A line a job;
exit code 1 if something could not be sent.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from locat.config import JobConfig, Tracking, load_job
from locat.contract.job_folder import JobFolder
from locat.contract.tracking import ParentRun, TrackingCursor
from locat.engine.tracking.state_files import Lifetime, only_sender
from locat.imports import uncollected


class EndedJob(NamedTuple):
    """A tracked job and how it ended."""

    job: JobFolder
    config: JobConfig
    tracking: Tracking
    lifetime: Lifetime


def sync(folders: dict[Path, str], run_status: str | None) -> int:
    """Send what is left of these jobs, each with the status it has if it was killed; the exit code."""
    ended = [found for path, status in folders.items() if (found := _ended(JobFolder(path), status))]
    left = [
        each for each in ended if not TrackingCursor.read(each.job).knows(each.lifetime.status, each.lifetime.ended)
    ]
    if left and not _answers(left[0].tracking):
        return 1
    failed = False
    for each in ended:
        try:
            line = _send(each) if each in left else "nothing left"
        except BlockingIOError:
            line = "sends by itself: it still runs"
        except Exception as error:
            line = f"not sent: {_why(each.tracking, each.job, error)}"
            failed = True
        print(f"{each.job.name}: {line}", flush=True)
    if run_status and ended and not failed:
        failed = not _end_parent_run(ended, run_status)
    return int(failed)


def _ended(job: JobFolder, status: str) -> EndedJob | None:
    """What must be known of a job to send it; None, which is said, where it has nothing to send."""
    lifetime = Lifetime.read(job)
    config = load_job(job.config) if lifetime else None
    if lifetime is None or config is None or config.tracking is None:
        print(f"{job.name}: nothing to send: it was not tracked", flush=True)
        return None
    return EndedJob(job, config, config.tracking, lifetime.ended_as(job, status))


def _answers(tracking: Tracking) -> bool:
    """Whether the server does; if not, that is one line instead of one a job."""
    with uncollected():
        from locat.engine.tracking.client import connect

    try:
        connect(tracking.uri).search_experiments(max_results=1)
    except Exception as error:
        remedy = "all is kept, send it with `launcher sync` once it does"
        print(f"MLflow ({tracking.uri}) does not answer; {remedy}: {_one_line(error)}", file=sys.stderr)
        return False
    return True


def _send(ended: EndedJob) -> str:
    """Send one job; what it was, in words."""
    with uncollected():
        from locat.engine.tracking.job_run import JobRun

    job, config, tracking, lifetime = ended
    with only_sender(job.path, wait=False) as key:
        run = JobRun(job, config, tracking, key, lifetime.started, running=False)
        run.end(lifetime)
    return f"sent {run.points} points, {run.files} files and its end: {lifetime.status}"


def _end_parent_run(jobs: list[EndedJob], status: str) -> bool:
    parent = jobs[0].tracking.parent
    ended = max(each.lifetime.ended or 0.0 for each in jobs)
    if ParentRun.read(parent).knows(status, ended):
        return True
    from locat.engine.tracking.parent_run import end_parent_run

    try:
        end_parent_run(parent, status, ended)
        print(f"the run: {status}")
    except Exception as error:
        why = _why(jobs[0].tracking, jobs[0].job, error)
        print(f"the run: not told that it is {status}: {why}", flush=True)
        return False
    return True


def _why(tracking: Tracking, job: JobFolder, error: Exception) -> str:
    """What the user can do, or else what MLflow said."""
    from locat.engine.tracking.refusals import reason

    return reason(tracking, job, error) or _one_line(error)


def _one_line(error: Exception) -> str:
    from locat.engine.tracking.client import one_line

    return one_line(error)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m locat.engine.tracking.sync", description=__doc__)
    parser.add_argument("jobs", nargs="+", type=_folder_and_status, metavar="JOB_FOLDER=STATUS")
    parser.add_argument("--run", metavar="STATUS", help="how the pipeline run ended")
    arguments = parser.parse_args()
    return sync(dict(arguments.jobs), arguments.run)


def _folder_and_status(text: str) -> tuple[Path, str]:
    folder, _, status = text.rpartition("=")
    return Path(folder).resolve(), status


if __name__ == "__main__":
    sys.exit(main())
