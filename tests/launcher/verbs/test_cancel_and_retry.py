"""Stopping runs and going on with them, from another shell, with and without a supervisor."""

import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil

from launcher import locks, machine
from launcher.actions.retry import with_needs
from launcher.attempt import processes
from launcher.runs.state import JobState, Status
from support import small_runs


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_cancel_and_retry_under_a_supervisor(tmp_path: Path) -> None:
    run = small_runs.make(
        tmp_path,
        small_runs.job("done"),
        small_runs.job("a", small_runs.SLEEP_AT_FIRST, ("done",)),
        small_runs.job("b", "", ("a",)),
    )
    with small_runs.supervisor(run) as supervisor:
        child = small_runs.until_up(run, "a")
        cancelled = small_runs.cli(run, "cancel")
        assert "stopping a" in cancelled.stdout and "cancelled: a, b" in cancelled.stdout, cancelled
        assert ended(child)
        assert supervisor.wait(small_runs.TIMEOUT) == 0
    assert small_runs.statuses(run) == {"done": Status.DONE, "a": Status.CANCELLED, "b": Status.CANCELLED}
    assert "nothing to cancel" in small_runs.cli(run, "cancel").stdout

    retried = small_runs.cli(run, "retry")
    assert "to be run again: a, b" in retried.stdout and "started a supervisor" in retried.stdout, retried
    small_runs.until(lambda: set(small_runs.statuses(run).values()) == {Status.DONE})
    assert (run.state("done").attempt, run.state("a").attempt) == (1, 2)
    small_runs.until(lambda: not run.is_supervised())
    again = small_runs.cli(run, "retry", run.name)
    assert again.exit_code == 0 and again.stdout == "nothing to retry: test is done\n"


def test_cancel_without_a_supervisor_ends_runner_and_job(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP))
    with small_runs.supervisor(run):
        child = small_runs.until_up(run, "a")
    assert small_runs.statuses(run) == {"a": Status.RUNNING}
    assert small_runs.cli(run, "cancel").exit_code == 0
    assert ended(child) and small_runs.statuses(run) == {"a": Status.CANCELLED}


def test_cancel_ends_a_job_whose_runner_is_dead(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP))
    runner = small_runs.attempt(run, "a")
    child = small_runs.until_up(run, "a")
    runner.kill()
    runner.wait()
    assert small_runs.cli(run, "cancel").exit_code == 0
    assert ended(child) and small_runs.statuses(run) == {"a": Status.CANCELLED}


def test_cancel_kills_what_ignores_it(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.STUBBORN))
    runner = small_runs.attempt(run, "a")
    small_runs.until_up(run, "a")
    assert "cancelled: a" in small_runs.cli(run, "cancel", run.name, "--grace", "0.5").stdout
    assert runner.wait(small_runs.TIMEOUT) == 137
    assert run.state("a").status is Status.CANCELLED, "the runner lived to record it"


def test_cancel_does_not_trust_a_pid_that_is_somebody_elses(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP))
    lock = locks.acquire(run.job_lock("a"))
    assert lock is not None
    JobState(Status.RUNNING, 1, pid=os.getpid(), host=machine.host()).write(run.job("a").state)
    assert processes.runner(run.job("a"), run.state("a")) is None
    os.close(lock)


def test_what_another_machine_runs_is_neither_called_cancelled_nor_queued(tmp_path: Path) -> None:
    """Where its lock is not seen from here."""
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b"))
    state = JobState(Status.RUNNING, 1, pid=1, host="node17")
    state.write(run.job("a").state)
    cancelled = small_runs.cli(run, "cancel")
    assert cancelled.exit_code == 2 and "cancel test on node17 too" in cancelled.stderr, cancelled
    assert small_runs.statuses(run) == {"a": Status.LOST, "b": Status.CANCELLED}
    refused = small_runs.cli(run, "retry")
    assert refused.exit_code == 2 and "it ran on node17" in refused.stderr, refused
    assert run.state("a") == state and run.is_cancelled("b"), "nothing was changed before it was refused"


def test_a_run_that_is_supervised_elsewhere_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    failed = JobState(Status.FAILED, 1, failures=1)
    failed.write(run.job("a").state)
    run.supervisor_lock.write_text("elsewhere")
    assert small_runs.cli(run, "retry").exit_code == 2
    assert run.state("a") == failed


def test_one_job_is_cancelled_and_its_siblings_go_on(tmp_path: Path) -> None:
    run = small_runs.make(
        tmp_path,
        small_runs.job("a"),
        small_runs.job("b", "", ("a",)),
        small_runs.job("c", "", ("b",)),
        small_runs.job("d"),
    )
    assert small_runs.cli(run, "cancel", run.name, "b").stdout == "cancelled: b\n"
    small_runs.supervise(run)
    expected = {"a": Status.DONE, "b": Status.CANCELLED, "c": Status.BLOCKED, "d": Status.DONE}
    assert small_runs.statuses(run) == expected


def test_retry_of_one_job_leaves_the_others_cancelled(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b", "", ("a",)), small_runs.job("c"))
    small_runs.cli(run, "cancel")
    assert "to be run again: a, b" in small_runs.cli(run, "retry", run.name, "b").stdout, "and what it needs"
    small_runs.until(lambda: small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE, "c": Status.CANCELLED})


def test_retry_gives_the_full_number_of_retries_again(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "import sys; sys.exit(1)"), small_runs.job("b", "", ("a",)))
    small_runs.supervise(run)
    assert small_runs.statuses(run) == {"a": Status.FAILED, "b": Status.BLOCKED}
    assert "to be run again: a\n" in small_runs.cli(run, "retry").stdout
    small_runs.until(lambda: run.state("a").attempt == 2 and not run.is_supervised())
    assert (run.state("a").status, run.state("a").failures) == (Status.FAILED, 1)
    assert [log.parent.name for log in sorted(run.job("a").attempts.glob("*/launch.log"))] == ["1", "2"]


def test_retry_while_the_supervisor_lives_is_seen_by_it(tmp_path: Path) -> None:
    go = tmp_path / "go"
    fails_once = "import os, sys; sys.exit(not os.environ['LOCAT_ATTEMPT_DIR'].endswith('/2'))"
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.wait_for(go)), small_runs.job("b", fails_once))
    with small_runs.supervisor(run) as supervisor:
        small_runs.until(lambda: small_runs.view(run, "b").status is Status.FAILED)
        assert "watched already" in small_runs.cli(run, "retry", run.name, "b").stdout
        small_runs.until(lambda: small_runs.view(run, "b").status is Status.DONE)
        go.touch()
        assert supervisor.wait(small_runs.TIMEOUT) == 0


def test_a_closed_terminal_leaves_the_run_alone(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    run = small_runs.make(
        tmp_path, small_runs.job("a", "import time; print('up', flush=True); time.sleep(1)\n" + small_runs.count(ran))
    )
    shell, terminal = pty.fork()
    if shell == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup ignore it
        retry = [sys.executable, "-m", "launcher", "retry", run.name, "--runs-dir", str(tmp_path)]
        subprocess.run(retry)
        os.execvp("sleep", ["sleep", "60"])
    small_runs.until_up(run, "a")
    os.close(terminal)  # the kernel hangs up on the whole session
    _, status = os.waitpid(shell, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP
    small_runs.until(lambda: small_runs.statuses(run) == {"a": Status.DONE})
    assert ran.read_text() == "ran\n"


def test_retry_of_a_job_finds_what_it_needs_at_once_however_deep(tmp_path: Path) -> None:
    layers = [[small_runs.job(f"{layer}{side}") for side in "ab"] for layer in range(40)]
    jobs = [
        replace(job, needs=tuple(each.name for each in above))
        for above, layer in zip([[], *layers], layers, strict=False)
        for job in layer
    ]
    plan = small_runs.make(tmp_path, *jobs).plan()
    assert len(with_needs(plan, "39a")) == 79


def test_retry_by_force_leaves_a_supervisor_of_this_machine_alone(tmp_path: Path) -> None:
    go = tmp_path / "go"
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.wait_for(go)))
    with small_runs.supervisor(run) as supervisor:
        small_runs.until_up(run, "a")
        assert "watched already" in small_runs.cli(run, "retry", "--force", run.name).stdout
        assert run.is_supervised(), "a second one could else begin"
        go.touch()
        assert supervisor.wait(small_runs.TIMEOUT) == 0
