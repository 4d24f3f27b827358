"""The supervisor with real processes: order, retries, limits, and being killed."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil

from launcher.runs.state import JobState, Status
from support import small_runs

FAIL_ONCE = "import os, sys; sys.exit('boom' if os.environ['LOCAT_ATTEMPT_DIR'].endswith('/1') else 0)"


def sleep(seconds: float) -> str:
    return f"import time; time.sleep({seconds})"


def test_a_diamond_runs_in_order_and_once(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = f"import os; open({str(ran)!r}, 'a').write(os.environ['LOCAT_ATTEMPT_DIR'].split('/')[-3] + '\\n')"
    needs: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    run = small_runs.make(tmp_path, *(small_runs.job(name, code, needs[name]) for name in needs))
    small_runs.supervise(run)
    order = ran.read_text().split()
    assert sorted(order) == ["a", "b", "c", "d"] and order[0] == "a" and order[-1] == "d"
    assert set(small_runs.statuses(run).values()) == {Status.DONE}
    small_runs.supervise(run)
    assert ran.read_text().split() == order, "what is done is not run again"


def test_a_branch_that_fails_leaves_its_siblings_alone(tmp_path: Path) -> None:
    run = small_runs.make(
        tmp_path,
        small_runs.job("bad", "import sys; sys.exit('boom')"),
        small_runs.job("wrong", "import sys; sys.exit(2)", retries=3),
        small_runs.job("good"),
        small_runs.job("after_bad", "", ("bad",)),
        small_runs.job("after_wrong", "", ("wrong", "good")),
        small_runs.job("after_good", "", ("good",)),
    )
    small_runs.supervise(run)
    assert small_runs.statuses(run) == {
        "bad": Status.FAILED,
        "wrong": Status.INVALID,
        "good": Status.DONE,
        "after_bad": Status.BLOCKED,
        "after_wrong": Status.BLOCKED,
        "after_good": Status.DONE,
    }
    assert run.state("wrong").attempt == 1, "an invalid job is never retried"
    assert small_runs.view(run, "bad").reason == "boom"


def test_a_failure_is_retried_with_backoff_and_logs_stay(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", FAIL_ONCE, retries=1))
    small_runs.supervise(run)
    state = run.state("a")
    assert (state.status, state.attempt, state.failures) == (Status.DONE, 2, 1)
    first_end = run.job("a").attempt(1).joinpath("launch.log").stat().st_mtime
    assert state.started is not None and state.started >= first_end + 0.9
    assert (run.job("a").attempt(1) / "launch.log").read_text() == "boom\n"


def test_a_preempted_job_is_run_again_uncounted(tmp_path: Path) -> None:
    code = "import os; int(os.environ['LOCAT_ATTEMPT_DIR'].split('/')[-1]) < 3 or exit()\n"
    run = small_runs.make(tmp_path, small_runs.job("a", code + small_runs.PREEMPTED))
    began = time.monotonic()
    small_runs.supervise(run)
    assert (run.state("a").status, run.state("a").attempt, run.state("a").failures) == (Status.DONE, 3, 0)
    assert time.monotonic() - began > 1 + 2, "what is preempted at once is run again more and more rarely"


def test_a_job_that_stops_though_nobody_asked_it_to_is_not_repeated_for_ever(tmp_path: Path) -> None:
    """What frees memory signals the job alone: it checkpoints, and meets the same memory again."""
    code = small_runs.SAVE + "import signal; os.kill(os.getpid(), signal.SIGTERM)\n"
    checkpoint = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
    run = small_runs.make(tmp_path, small_runs.job("a", checkpoint + code, retries=1))
    small_runs.supervise(run)
    state = run.state("a")
    assert (state.status, state.attempt, state.failures, state.exit_code) == (Status.FAILED, 2, 2, 1)
    assert state.reason == "ended with exit code 75 though nobody asked it to stop, perhaps short of memory"


def test_killed_mid_run_its_jobs_live_on_and_another_takes_over(tmp_path: Path) -> None:
    ran, go = tmp_path / "ran", tmp_path / "go"
    run = small_runs.make(
        tmp_path,
        small_runs.job("a", small_runs.count(ran) + small_runs.wait_for(go)),
        small_runs.job("b", small_runs.count(ran), ("a",)),
    )
    with small_runs.supervisor(run) as first:
        child = small_runs.until_up(run, "a")
        first.kill()
        first.wait()
    assert psutil.pid_exists(child)
    assert small_runs.statuses(run) == {"a": Status.RUNNING, "b": Status.PENDING}
    status = small_runs.cli(run, "status", run.name)
    assert "the supervisor is not running (jobs running: 1, waiting: 1)" in status.stdout, status
    with small_runs.supervisor(run) as second:
        go.touch()
        assert second.wait(small_runs.TIMEOUT) == 0
    assert ran.read_text() == "ran\nran\n", "each job ran once"
    assert set(small_runs.statuses(run).values()) == {Status.DONE}


def test_a_second_supervisor_refuses(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", sleep(1.5)))
    with small_runs.supervisor(run) as first:
        with small_runs.supervisor(run) as second:
            assert second.wait(small_runs.TIMEOUT) == 1
        assert first.poll() is None or first.returncode == 0
    assert "another supervisor watches this run" in run.supervisor_log.read_text()
    small_runs.cli(run, "cancel", run.name, "--grace", "0")


def test_a_lost_attempt_is_a_failure_and_retried(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP_AT_FIRST, retries=1))
    with small_runs.supervisor(run) as supervisor:
        child = small_runs.until_up(run, "a")
        os.kill(run.state("a").pid or 0, signal.SIGKILL)
        assert small_runs.view(run, "a").status is Status.RUNNING, "the child holds the lock"
        os.kill(child, signal.SIGKILL)
        assert supervisor.wait(small_runs.TIMEOUT) == 0
    assert (run.state("a").status, run.state("a").attempt, run.state("a").failures) == (Status.DONE, 2, 1)
    assert "a: attempt runner died" in run.supervisor_log.read_text()


def test_a_runner_that_cannot_begin_is_a_failure_not_a_loop(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    run.job("a").attempts.write_text("a file where a folder is needed")
    small_runs.supervise(run)
    assert run.state("a").reason == "attempt runner ended with exit code 1 before the job began"
    assert run.state("a").status is Status.FAILED


def test_the_default_state_is_a_job_never_attempted(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    assert run.state("a") == JobState()
    state = JobState(Status.FAILED, 2, 7, 1, "why", 1.0, 2.0, 1)
    state.write(run.job("a").state)
    assert run.state("a") == state


def test_a_job_of_another_machine_is_waited_for_and_not_called_dead(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", retries=1), small_runs.job("b"))
    elsewhere = JobState(Status.RUNNING, 1, pid=1, host="elsewhere")
    elsewhere.write(run.job("a").state)
    with small_runs.supervisor(run) as process:
        small_runs.until(lambda: run.state("b").status is Status.DONE)
        assert run.state("a") == elsewhere and process.poll() is None
        replace(elsewhere, status=Status.DONE).write(run.job("a").state)
        assert process.wait(small_runs.TIMEOUT) == 0
