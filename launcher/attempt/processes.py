"""Which processes belong to a job.

The lock tells whether an attempt is alive, but not who all of it is: torchrun gives each rank a
session of its own and no inherited descriptors. All of them inherit LOCAT_ATTEMPT_DIR, though.
"""

import contextlib
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

from launcher.runs.state import JobState
from locat.contract.job_folder import ATTEMPT_VARIABLE, JobFolder


def of_job(job: JobFolder) -> list[psutil.Process]:
    """Living processes of any attempt of a job; the attempt runner itself is not among them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            attempt = process.environ().get(ATTEMPT_VARIABLE)
            if attempt and Path(attempt).parent == job.attempts and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def memory(jobs: Iterable[JobFolder]) -> dict[Path, int]:
    """Bytes in memory of the living processes of each job, by the job's folder.

    Pages that several share count for each. Of jobs that have none, or whose processes are another user's, there is
    nothing.
    """
    folders = {job.attempts: job.path for job in jobs}
    found: dict[Path, int] = {}
    for process in psutil.process_iter() if folders else ():
        with contextlib.suppress(psutil.Error, OSError):
            attempt = process.environ().get(ATTEMPT_VARIABLE)
            if attempt and (folder := folders.get(Path(attempt).parent)):
                found[folder] = found.get(folder, 0) + process.memory_info().rss
    return found


def runner(job: JobFolder, state: JobState) -> psutil.Process | None:
    """The attempt runner that a job's state names, if it is of this machine and that process still: numbers are given
    again, after a restart of the machine at the latest."""
    if state.pid is None or state.is_elsewhere:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(state.pid)
        if {"launcher.attempt", str(job.path.parents[1]), job.name} <= set(process.cmdline()):
            return process
    return None


def send(targets: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal processes that may end meanwhile."""
    for process in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
