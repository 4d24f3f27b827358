"""Stopping runs and going on with them, from another shell, with and without a supervisor."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import runs

from launcher import locks, machine, processes
from launcher.state import JobState, Status


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_cancel_and_retry_under_a_supervisor(tmp_path: Path) -> None:
    run = runs.make(
        tmp_path, runs.job("done"), runs.job("a", runs.SLEEP_AT_FIRST, ("done",)), runs.job("b", "", ("a",))
    )
    with runs.supervisor(run) as supervisor:
        child = runs.until_up(run, "a")
        cancelled = runs.cli(run, "cancel")
        assert "stopping a" in cancelled.stdout and "cancelled: a, b" in cancelled.stdout, cancelled
        assert ended(child)
        assert supervisor.wait(runs.TIMEOUT) == 0
    assert runs.statuses(run) == {"done": Status.DONE, "a": Status.CANCELLED, "b": Status.CANCELLED}
    assert "nothing to cancel" in runs.cli(run, "cancel").stdout

    retried = runs.cli(run, "retry")
    assert "to be run again: a, b" in retried.stdout and "started a supervisor" in retried.stdout, retried
    runs.until(lambda: set(runs.statuses(run).values()) == {Status.DONE})
    assert (run.state("done").attempt, run.state("a").attempt) == (1, 2)
    runs.until(lambda: not run.is_supervised())
    again = runs.cli(run, "retry", run.name)
    assert again.exit_code == 0 and again.stdout == "nothing to retry: test is done\n"


def test_cancel_without_a_supervisor_ends_runner_and_job(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a", runs.SLEEP))
    with runs.supervisor(run):
        child = runs.until_up(run, "a")
    assert runs.statuses(run) == {"a": Status.RUNNING}
    assert runs.cli(run, "cancel").exit_code == 0
    assert ended(child) and runs.statuses(run) == {"a": Status.CANCELLED}


def test_cancel_ends_a_job_whose_runner_is_dead(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a", runs.SLEEP))
    runner = runs.attempt(run, "a")
    child = runs.until_up(run, "a")
    runner.kill()
    runner.wait()
    assert runs.cli(run, "cancel").exit_code == 0
    assert ended(child) and runs.statuses(run) == {"a": Status.CANCELLED}


def test_cancel_kills_what_ignores_it(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a", runs.STUBBORN))
    runner = runs.attempt(run, "a")
    runs.until_up(run, "a")
    assert "cancelled: a" in runs.cli(run, "cancel", run.name, "--grace", "0.5").stdout
    assert runner.wait(runs.TIMEOUT) == 137
    assert run.state("a").status is Status.CANCELLED, "the runner lived to record it"


def test_cancel_does_not_trust_a_pid_that_is_somebody_elses(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a", runs.SLEEP))
    lock = locks.acquire(run.job_lock("a"))
    assert lock is not None
    JobState(Status.RUNNING, 1, pid=os.getpid(), host=machine.host()).write(run.job("a").state)
    assert processes.runner(run.job("a"), run.state("a")) is None
    os.close(lock)


def test_one_job_is_cancelled_and_its_siblings_go_on(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a"), runs.job("b", "", ("a",)), runs.job("c", "", ("b",)), runs.job("d"))
    assert runs.cli(run, "cancel", run.name, "b").stdout == "cancelled: b\n"
    runs.supervise(run)
    expected = {"a": Status.DONE, "b": Status.CANCELLED, "c": Status.BLOCKED, "d": Status.DONE}
    assert runs.statuses(run) == expected


def test_retry_of_one_job_leaves_the_others_cancelled(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a"), runs.job("b", "", ("a",)), runs.job("c"))
    runs.cli(run, "cancel")
    assert "to be run again: a, b" in runs.cli(run, "retry", run.name, "b").stdout, "and what it needs"
    runs.until(lambda: runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE, "c": Status.CANCELLED})


def test_retry_gives_the_full_number_of_retries_again(tmp_path: Path) -> None:
    run = runs.make(tmp_path, runs.job("a", "import sys; sys.exit(1)"), runs.job("b", "", ("a",)))
    runs.supervise(run)
    assert runs.statuses(run) == {"a": Status.FAILED, "b": Status.BLOCKED}
    assert "to be run again: a\n" in runs.cli(run, "retry").stdout
    runs.until(lambda: run.state("a").attempt == 2 and not run.is_supervised())
    assert (run.state("a").status, run.state("a").failures) == (Status.FAILED, 1)
    assert [log.parent.name for log in sorted(run.job("a").attempts.glob("*/launch.log"))] == ["1", "2"]


def test_retry_while_the_supervisor_lives_is_seen_by_it(tmp_path: Path) -> None:
    go = tmp_path / "go"
    fails_once = "import os, sys; sys.exit(not os.environ['LOCAT_ATTEMPT_DIR'].endswith('/2'))"
    run = runs.make(tmp_path, runs.job("a", runs.wait_for(go)), runs.job("b", fails_once))
    with runs.supervisor(run) as supervisor:
        runs.until(lambda: runs.view(run, "b").status is Status.FAILED)
        assert "watched already" in runs.cli(run, "retry", run.name, "b").stdout
        runs.until(lambda: runs.view(run, "b").status is Status.DONE)
        go.touch()
        assert supervisor.wait(runs.TIMEOUT) == 0


def test_a_closed_terminal_leaves_the_run_alone(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    run = runs.make(tmp_path, runs.job("a", "import time; print('up', flush=True); time.sleep(1)\n" + runs.count(ran)))
    shell, terminal = pty.fork()
    if shell == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup ignore it
        retry = [sys.executable, "-m", "launcher", "retry", run.name, "--runs-dir", str(tmp_path)]
        subprocess.run(retry)
        os.execvp("sleep", ["sleep", "60"])
    runs.until_up(run, "a")
    os.close(terminal)  # the kernel hangs up on the whole session
    _, status = os.waitpid(shell, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP
    runs.until(lambda: runs.statuses(run) == {"a": Status.DONE})
    assert ran.read_text() == "ran\n"
