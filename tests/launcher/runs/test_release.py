"""What `retry` looked at may be a second old: what happened since is not written over."""

from pathlib import Path

from launcher.backends import look
from launcher.runs.release import release
from launcher.runs.state import JobState, Status
from support import small_runs


def test_a_job_that_was_run_since_the_look_is_left_as_it_is(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b"))
    for name in ("a", "b"):
        JobState(status=Status.FAILED, attempt=1, exit_code=1, failures=1).write(run.job(name).state)
    seen = look(run, run.plan())
    JobState(status=Status.DONE, attempt=2, exit_code=0).write(run.job("a").state)
    assert release(run, seen, {"a", "b"}) == ["b"]
    assert run.state("a").status is Status.DONE
    assert run.state("b") == JobState(attempt=1)


def test_two_retries_of_a_cancelled_run_agree(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    JobState(status=Status.CANCELLED, attempt=1).write(run.job("a").state)
    run.cancelled.touch()
    seen = look(run, run.plan())
    assert release(run, seen, {"a"}) == ["a"]
    assert release(run, seen, {"a"}) == ["a"]


def test_a_job_that_came_to_its_end_on_another_machine_since_the_look_is_done(tmp_path: Path) -> None:
    """Its attempt is the one that was seen."""
    run = small_runs.make(tmp_path, small_runs.job("a"))
    JobState(status=Status.RUNNING, attempt=1, host="elsewhere").write(run.job("a").state)
    seen = look(run, run.plan())
    JobState(status=Status.DONE, attempt=1, exit_code=0, host="elsewhere").write(run.job("a").state)
    assert release(run, seen, {"a"}) == []
    assert run.state("a").status is Status.DONE
