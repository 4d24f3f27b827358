"""The pause before an attempt where its scheduler knows none: who asks to stop meanwhile is not kept waiting."""

import signal
import threading
import time
from pathlib import Path

import pytest

from launcher import locks
from launcher.attempt import run as attempt_run
from launcher.attempt.requests import StopRequests
from launcher.attempt.run import attempt
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract.job_folder import ExitCode
from support import small_runs


@pytest.fixture
def run(tmp_path: Path, requests: StopRequests, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A job that was preempted again and again at once, and is to be run again in a minute."""
    monkeypatch.setattr(attempt_run, "StopRequests", lambda: requests)
    run = small_runs.make(tmp_path, small_runs.job("a"))
    JobState(Status.PREEMPTED, 1, ended=time.time(), hasty=7).write(run.job("a").state)
    return run


def begins_nothing(run: RunFolder) -> str:
    """Why an attempt did not begin, which left all as it was."""
    before, began = run.state("a"), time.monotonic()
    ending = attempt(run, "a")
    assert time.monotonic() - began < 30 and ending.exit_code == ExitCode.PREEMPTED
    assert run.state("a") == before and not run.job("a").attempts.exists()
    assert not locks.is_held(run.job_lock("a")), "it ended for this process too"
    return ending.reason


def test_a_job_that_is_cancelled_meanwhile_does_not_begin(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_run, "LOOK", 0.02)
    threading.Timer(0.2, run.cancelled.touch).start()
    assert begins_nothing(run) == "cancelled"


def test_one_that_is_asked_to_stop_meanwhile_does_not_begin(run: RunFolder) -> None:
    threading.Timer(0.2, signal.raise_signal, [signal.SIGTERM]).start()
    assert begins_nothing(run) == "stopped before it began"


def test_it_begins_once_the_pause_is_over(run: RunFolder) -> None:
    JobState(Status.PREEMPTED, 1, ended=time.time() - 59.9, hasty=7).write(run.job("a").state)
    assert attempt(run, "a").exit_code == ExitCode.DONE
