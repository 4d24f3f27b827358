"""What the user is shown, from plan, states and locks alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.plan import Plan
from launcher.runs.state import JobState, Observation, Status
from launcher.runs.status import RunView, derive
from support import small_runs

QUEUED = Observation(JobState())
DONE = Observation(JobState(Status.DONE, 1))


def view(supervised: bool = True, retries: int = 0, **seen: Observation) -> RunView:
    """A chain: each job needs the one before it."""
    names = list(seen)
    jobs = [small_runs.job(name, "", tuple(names[:i][-1:]), retries) for i, name in enumerate(names)]
    return derive(Plan("r", "p", "", Path("/r"), "", "", tuple(jobs)), seen, supervised)


def failed(failures: int) -> Observation:
    return Observation(JobState(Status.FAILED, failures, failures=failures, reason="boom"))


@pytest.mark.parametrize(
    ("seen", "expected", "reason"),
    [
        (QUEUED, Status.QUEUED, ""),
        (DONE, Status.DONE, ""),
        (Observation(JobState(), alive=True), Status.RUNNING, ""),
        (Observation(JobState(Status.RUNNING, 1), alive=True), Status.RUNNING, ""),
        (Observation(JobState(Status.FAILED, 1), alive=True), Status.RUNNING, ""),
        (Observation(JobState(Status.DONE, 1), alive=True), Status.DONE, ""),
        (Observation(JobState(Status.RUNNING, 1), note="nobody"), Status.LOST, "nobody"),
        (Observation(JobState(Status.INVALID, 1, reason="bad")), Status.INVALID, "bad"),
        (Observation(JobState(Status.PREEMPTED, 1)), Status.PREEMPTED, ""),
        (failed(1), Status.QUEUED, "retry 1 of 1 after: boom"),
        (failed(2), Status.FAILED, "boom"),
        (replace(failed(1), final=True), Status.FAILED, "boom"),
        (replace(failed(1), final=True, cancelled=True), Status.FAILED, "boom"),
        (Observation(JobState(), cancelled=True), Status.CANCELLED, ""),
        (Observation(JobState(Status.RUNNING, 1), cancelled=True), Status.CANCELLED, ""),
        (Observation(JobState(Status.RUNNING, 1), True, cancelled=True), Status.RUNNING, "is being cancelled"),
        (Observation(JobState(Status.DONE, 1), cancelled=True), Status.DONE, ""),
        (Observation(JobState(Status.CANCELLED, 1)), Status.CANCELLED, ""),
    ],
)
def test_one_job(seen: Observation, expected: Status, reason: str) -> None:
    (job,) = view(retries=1, a=seen).jobs
    assert (job.status, job.reason) == (expected, reason)


def test_downstream_waits_or_is_blocked_by_name() -> None:
    waiting = view(a=DONE, b=QUEUED, c=QUEUED)
    assert [job.status for job in waiting.jobs] == [Status.DONE, Status.QUEUED, Status.PENDING]
    assert waiting.jobs[2].reason == "waits for b"
    blocked = view(a=failed(1), b=QUEUED, c=QUEUED)
    assert [job.reason for job in blocked.jobs] == ["boom", "needs a, which is failed", "needs b, which is blocked"]


@pytest.mark.parametrize(
    ("run", "status", "exit_code"),
    [
        (view(a=DONE), "done", 0),
        (view(a=DONE, supervised=False), "done", 0),
        (view(a=failed(1)), "failed", 1),
        (view(a=Observation(JobState(Status.INVALID, 1))), "failed", 2),
        (view(a=DONE, b=Observation(JobState(), cancelled=True)), "cancelled", 1),
        (view(a=DONE, b=QUEUED), "running", 1),
        (view(a=DONE, b=QUEUED, supervised=False), "stopped", 1),
        (view(a=Observation(JobState(Status.RUNNING, 1)), supervised=False), "stopped", 1),
    ],
)
def test_one_word_for_the_run(run: RunView, status: str, exit_code: int) -> None:
    assert (run.status, run.exit_code) == (status, exit_code)
