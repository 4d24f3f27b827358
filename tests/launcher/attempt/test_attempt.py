"""The attempt runner with real processes: locks, signals, exit codes, reasons."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from launcher import locks, machine
from launcher.attempt import processes
from launcher.attempt.ending import explain
from launcher.compile.resources import command
from launcher.plan import Resources
from launcher.runs.state import JobState, Status
from locat.contract.job_folder import ATTEMPT_VARIABLE
from support import small_runs
from support.required import isolation, require

UNASKED = "ended with exit code 75 though nobody asked it to stop, perhaps short of memory"
AT_LIMIT = "reached its time limit of 0.04 min"


@pytest.mark.parametrize(
    ("code", "exit_code", "status", "reason", "failures"),
    [
        ("print('hello')", 0, Status.DONE, "", 0),
        ("import sys; sys.exit(2)", 2, Status.INVALID, "", 0),
        ("import sys; print('first\\nthe cause\\n====\\n'); sys.exit(3)", 3, Status.FAILED, "the cause", 1),
        ("import sys; sys.exit(75)", 1, Status.FAILED, UNASKED, 1),
        (small_runs.PREEMPTED, 75, Status.PREEMPTED, "stopped when asked to", 0),
        ("import os; os.kill(os.getpid(), 9)", 137, Status.FAILED, "killed by SIGKILL, perhaps out of memory", 1),
        ("import os; os.kill(os.getpid(), 15)", 143, Status.FAILED, "killed by SIGTERM", 1),
    ],
)
def test_the_end_is_recorded(
    tmp_path: Path, code: str, exit_code: int, status: Status, reason: str, failures: int
) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", code))
    assert small_runs.attempt(run, "a").wait() == exit_code
    state = run.state("a")
    assert (state.status, state.exit_code, state.reason, state.failures) == (status, exit_code, reason, failures)
    assert state.attempt == 1
    assert (state.host, state.boot) == (machine.host(), machine.boot())
    assert state.started is not None and state.ended is not None and state.started <= state.ended


def test_a_command_that_does_not_exist_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")  # a user's may name folders that they may not read, which is another error
    run = small_runs.make(tmp_path, replace(small_runs.job("a"), command=("no-such-program",)))
    assert small_runs.attempt(run, "a").wait() == 127
    assert run.state("a").reason == "cannot run no-such-program: No such file or directory"


def test_a_done_job_is_not_run_again(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.count(tmp_path / "ran")))
    assert [small_runs.attempt(run, "a").wait() for _ in range(2)] == [0, 0]
    assert (tmp_path / "ran").read_text() == "ran\n"


def in_ranks(folder: Path, code: str) -> tuple[str, ...]:
    """As the launcher starts two ranks, of another program."""
    file = folder / "rank.py"
    file.write_text(code)
    return *command(Resources(processes=2), folder)[:-3], str(file)


@pytest.mark.slow
def test_torchrun_leaves_nothing_outside_of_the_attempts_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    run = small_runs.make(tmp_path, replace(small_runs.job("a"), command=in_ranks(tmp_path, "")))
    assert small_runs.attempt(run, "a").wait() == 0
    assert (run.job("a").attempt(1) / "torchrun").is_dir()
    assert not list(elsewhere.iterdir())


@pytest.mark.slow
def test_ranks_find_each_other_where_the_machines_name_leads_nowhere(tmp_path: Path) -> None:
    require(isolation())
    code = "from locat.engine.distributed import join_ranks\nwith join_ranks() as ranks: ranks.barrier()"
    ranks = shlex.join([sys.executable, *in_ranks(tmp_path, code)[1:]])
    nameless = ("unshare", "--uts", "bash", "-c", f"hostname nowhere && {ranks}")
    run = small_runs.make(tmp_path, replace(small_runs.job("a"), command=nameless))
    assert small_runs.attempt(run, "a").wait(timeout=60) == 0


def test_the_job_sees_its_folder_and_its_environment(tmp_path: Path) -> None:
    code = f"import os; print(os.getcwd(), os.environ['{ATTEMPT_VARIABLE}'], os.environ['OWN'])"
    run = small_runs.make(tmp_path, replace(small_runs.job("a", code), environment={"OWN": "yes"}))
    small_runs.attempt(run, "a").wait()
    assert small_runs.log_of(run, "a").read_text().split() == [str(run.path), str(run.job("a").attempt(1)), "yes"]


def with_outcome(exit_code: int, reason: str, then: str) -> str:
    """Code of a job one of whose ranks leaves an outcome."""
    outcome = json.dumps({"exit_code": exit_code, "reason": reason})
    return f"import os, sys; open(os.environ['{ATTEMPT_VARIABLE}'] + '/outcome.json', 'w').write({outcome!r}); {then}"


@pytest.mark.parametrize(("exit_code", "reason"), [(1, "boom"), (2, "bad key")])
def test_the_first_rank_that_fails_tells_the_reason(tmp_path: Path, exit_code: int, reason: str) -> None:
    """torchrun turns every exit code into 1."""
    run = small_runs.make(tmp_path, small_runs.job("a", with_outcome(exit_code, reason, "sys.exit(1)")))
    assert small_runs.attempt(run, "a").wait() == exit_code
    assert run.state("a").reason == reason


@pytest.mark.parametrize(
    ("code", "signals_ranks", "ends"),
    [(75, True, 75), (143, True, 75), (75, False, 1), (1, True, 1)],  # torchrun's own is 1 where a rank stops by itself
)
@pytest.mark.parametrize("had_begun", [True, False])
def test_slurm_may_ask_a_command_alone_to_stop(
    tmp_path: Path, code: int, signals_ranks: bool, ends: int, had_begun: bool
) -> None:
    """A preemption signals the steps of a job, and not its batch script; ranks that still start leave no outcome."""
    if had_begun:
        (tmp_path / "outcome.json").write_text(json.dumps({"exit_code": 75, "reason": "asked to stop"}))
    (tmp_path / "launch.log").write_text("the last line\n")
    assert explain(tmp_path, code, False, "launch.log", signals_ranks).exit_code == ends


@pytest.mark.slow
def test_what_starts_ranks_says_that_it_was_asked_to_stop_itself(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\nopen('up', 'w')"
    ranks = subprocess.Popen([sys.executable, *in_ranks(tmp_path, f"{code}; time.sleep(60)")[1:]], cwd=tmp_path)
    small_runs.until((tmp_path / "up").exists)
    ranks.terminate()
    assert ranks.wait(small_runs.TIMEOUT) == 75


def test_ranks_stopped_because_one_died_are_not_a_preemption(tmp_path: Path) -> None:
    """Otherwise a rank that runs out of memory would be run again for ever."""
    run = small_runs.make(tmp_path, small_runs.job("a", with_outcome(75, "stopped", "sys.exit('oom')")))
    assert small_runs.attempt(run, "a").wait() == 1
    assert (run.state("a").status, run.state("a").reason) == (Status.FAILED, "a rank died: oom")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_request_to_stop_reaches_the_job(tmp_path: Path, number: signal.Signals) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.CHECKPOINT))
    runner = small_runs.attempt(run, "a")
    small_runs.until_up(run, "a")
    runner.send_signal(number)
    assert runner.wait(small_runs.TIMEOUT) == 75
    assert run.state("a").status is Status.PREEMPTED


def test_a_job_that_is_stopped_while_it_starts_has_not_failed(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP))  # no handler yet: SIGTERM ends it
    runner = small_runs.attempt(run, "a")
    small_runs.until_up(run, "a")
    runner.terminate()
    assert runner.wait(small_runs.TIMEOUT) == 75
    assert (run.state("a").status, run.state("a").failures) == (Status.PREEMPTED, 0)


def test_who_ignores_the_request_is_killed_after_the_grace(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.STUBBORN))
    runner = small_runs.attempt(run, "a", "--grace", "0.3")
    small_runs.until_up(run, "a")
    runner.terminate()
    assert runner.wait(small_runs.TIMEOUT) == 137
    assert run.state("a").reason == "did not stop within 0.3 s and was killed"
    assert not locks.is_held(run.job_lock("a"))


@pytest.mark.slow
def test_torchrun_gives_its_ranks_the_whole_grace(tmp_path: Path) -> None:
    """By itself it kills them 30 s after it passed the request on, whatever the grace."""
    code = "from torch.distributed.launcher.api import LaunchConfig; print(LaunchConfig(1, 1, 1).shutdown_timeout)"
    run = small_runs.make(tmp_path, small_runs.job("a", code))
    assert small_runs.attempt(run, "a", "--grace", "59.5").wait() == 0
    assert small_runs.log_of(run, "a").read_text() == "60\n"


@pytest.mark.parametrize(
    ("code", "ending", "status", "reason"),
    [
        (small_runs.SAVE + small_runs.CHECKPOINT, 75, Status.PREEMPTED, AT_LIMIT),
        (small_runs.CHECKPOINT, 1, Status.FAILED, f"{AT_LIMIT}, with nothing saved: give it more `time`"),
        (small_runs.STUBBORN, 137, Status.FAILED, "did not stop within 0.8 s and was killed"),
    ],
)
def test_who_is_about_to_exceed_its_time_is_asked_to_stop(
    tmp_path: Path, code: str, ending: int, status: Status, reason: str
) -> None:
    seconds = 2.4
    run = small_runs.make(tmp_path, replace(small_runs.job("a", code), resources=Resources(time=seconds / 60)))  # type: ignore
    runner = small_runs.attempt(run, "a", "--grace", "0.8")
    assert runner.wait(small_runs.TIMEOUT) == ending
    state = run.state("a")
    assert (state.status, state.failures, state.reason) == (status, status is Status.FAILED, reason)
    assert (state.ended or 0) - (state.started or 0) >= (seconds if ending == 137 else seconds - 0.8)


@pytest.mark.parametrize(("minutes", "status"), [(0.01, Status.FAILED), (10, Status.PREEMPTED)])
def test_a_warning_late_in_a_job_that_saved_nothing_is_of_its_time_limit(
    tmp_path: Path, minutes: float, status: Status
) -> None:
    """An early one is to make room for others."""
    run = small_runs.make(
        tmp_path, replace(small_runs.job("a", small_runs.CHECKPOINT), resources=Resources(time=minutes))
    )  # type: ignore
    runner = small_runs.attempt(run, "a", "--limits-time")
    small_runs.until_up(run, "a")
    time.sleep(0.5)
    runner.send_signal(signal.SIGUSR1)
    runner.wait(small_runs.TIMEOUT)
    assert run.state("a").status is status


def test_a_scheduler_that_limits_the_time_asks_by_itself(tmp_path: Path) -> None:
    job = replace(small_runs.job("a", "import time; time.sleep(0.5)"), resources=Resources(time=0.1 / 60))  # type: ignore
    run = small_runs.make(tmp_path, job)
    assert small_runs.attempt(run, "a", "--limits-time", "--grace", "0.1").wait(small_runs.TIMEOUT) == 0


def test_what_the_command_leaves_behind_is_killed_also_in_other_sessions(tmp_path: Path) -> None:
    child = f"subprocess.Popen([sys.executable, '-c', {small_runs.SLEEP!r}], start_new_session=True)"
    code = f"import subprocess, sys; print({child}.pid)"
    run = small_runs.make(tmp_path, small_runs.job("a", code))
    assert small_runs.attempt(run, "a").wait() == 0
    left = int(small_runs.log_of(run, "a").read_text().split()[0])
    small_runs.until(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE)


def test_the_lock_is_held_while_the_job_lives_without_its_runner(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP))
    runner = small_runs.attempt(run, "a")
    small_runs.until_up(run, "a")
    runner.kill()
    runner.wait()
    assert locks.is_held(run.job_lock("a"))
    assert small_runs.view(run, "a").status is Status.RUNNING
    assert small_runs.attempt(run, "a").wait() == 75, "a second attempt must not begin"
    processes.send(processes.of_job(run.job("a")), signal.SIGKILL)
    small_runs.until(lambda: small_runs.view(run, "a").status is Status.LOST)


def test_a_new_attempt_ends_what_an_old_one_left(tmp_path: Path) -> None:
    """Ranks have sessions of their own and no lock: torchrun and the runner may be dead and they alive."""
    run = small_runs.make(tmp_path, small_runs.job("a"))
    environment = {**os.environ, ATTEMPT_VARIABLE: str(run.job("a").attempt(1))}
    stray = subprocess.Popen([sys.executable, "-c", small_runs.SLEEP], env=environment, stdout=subprocess.DEVNULL)
    small_runs.until(lambda: processes.of_job(run.job("a")))
    assert small_runs.attempt(run, "a").wait() == 0
    assert stray.wait(small_runs.TIMEOUT) == -signal.SIGKILL


def test_a_cancelled_job_does_not_begin(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    run.cancelled.touch()
    assert small_runs.attempt(run, "a").wait() == 75
    assert run.state("a") == JobState()


def test_a_scheduler_says_how_the_command_is_launched_and_has_given_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "print()", gpus=8))
    launch = ["echo", "launched", "--on=2"]
    command = [sys.executable, "-m", "launcher.attempt", "--python", "python3", str(run.path), "a"]
    assert subprocess.run([*command, "--", *launch]).returncode == 0
    assert small_runs.log_of(run, "a").read_text() == "launched --on=2 python3 -c print()\n"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    other = small_runs.make(tmp_path, small_runs.job("b", show, gpus=8), name="other")
    assert small_runs.attempt(other, "b").wait() == 0
    assert small_runs.log_of(other, "b").read_text() == "3\n", "as the scheduler set it"


def test_a_scheduler_says_how_a_job_is_asked_to_stop(tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.wait_for(stopped) + "\nexit(75)"))
    runner = small_runs.attempt(run, "a", "--stop-with", f"touch {stopped}")
    small_runs.until_up(run, "a")
    runner.send_signal(signal.SIGUSR1)
    assert runner.wait(small_runs.TIMEOUT) == 75
    assert stopped.exists(), "its processes were not signalled"


@pytest.mark.parametrize("command", ["sleep 60", "false", "no-such-program"])
def test_a_way_to_ask_that_fails_or_hangs_does_not_outlast_the_grace(tmp_path: Path, command: str) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.STUBBORN))
    runner = small_runs.attempt(run, "a", "--grace", "0.5", "--stop-with", command)
    small_runs.until_up(run, "a")
    began = time.monotonic()
    runner.terminate()
    assert runner.wait(small_runs.TIMEOUT) == 137
    assert time.monotonic() - began < 30
    assert run.state("a").reason == "did not stop within 0.5 s and was killed"


PATIENT = """
import sys; from pathlib import Path
from launcher.attempt.host import Host; from launcher.attempt.run import attempt
from launcher.runs.folder import RunFolder
sys.exit(attempt(RunFolder(Path(sys.argv[1])), "a", 60, Host(patience=50)).exit_code)
"""


def test_a_request_that_comes_before_the_job_begins_is_passed_on_to_it(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP))
    lock = locks.acquire(run.job_lock("a"))
    assert lock is not None
    runner = subprocess.Popen([sys.executable, "-c", PATIENT, str(run.path)], start_new_session=True)
    small_runs.until(lambda: handles(runner.pid, signal.SIGUSR1))
    runner.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    os.close(lock)
    assert runner.wait(small_runs.TIMEOUT) == 75
    assert (run.state("a").status, run.state("a").reason) == (Status.PREEMPTED, "stopped when asked to")


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(lines["SigCgt"], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    ("code", "retries", "again"),
    [
        (small_runs.PREEMPTED, 0, True),
        ("exit(1)", 1, True),
        ("exit(1)", 0, False),
        ("exit(2)", 1, False),
        ("", 1, False),
    ],
)
def test_another_attempt_is_asked_for_where_one_is_due(tmp_path: Path, code: str, retries: int, again: bool) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", code, retries=retries))
    asked = tmp_path / "asked"
    small_runs.attempt(run, "a", "--rerun-with", f"touch {asked}").wait()
    assert asked.exists() == again


def test_a_cancelled_job_asks_for_no_other_attempt(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "exit(75)"))
    run.cancelled.touch()
    small_runs.attempt(run, "a", "--rerun-with", f"touch {tmp_path / 'asked'}").wait()
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(("program", "job"), [("launcher.attempt", ["a"]), ("launcher.backends.local.supervisor", [])])
def test_a_plan_of_a_newer_launcher_is_one_line(tmp_path: Path, program: str, job: list[str]) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    plan = run.path / "plan.json"
    plan.write_text(plan.read_text().replace('"format": 2', '"format": 99'))
    command = [sys.executable, "-m", program, str(run.path), *job]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (done.stdout + done.stderr).count("\n") == 1
    assert f"{plan}: is of format 99" in done.stdout + done.stderr
