"""Processes of the launcher killed at random instants: status tells the truth, and retry loses and redoes nothing.

A trial is drawn from its seed; LOCAT_TRIALS says how many there are (three by default).
"""

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from launcher.attempt import processes
from launcher.backends import look
from launcher.notify import __main__ as teller
from launcher.plan import Event, Notification, PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from support import small_runs
from support.sinks import webhook

TESTS = Path(__file__).parents[2]
NEEDS: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}
SHELL, SUPERVISOR, RUNNER, COMMAND, TELLER = (
    "shell",
    "launcher.backends.local.supervisor",
    "launcher.attempt",
    "command or rank",
    "launcher.notify",
)
TOLD = ("a", "d")
"""Jobs whose ends are told."""
TRIALS = int(os.environ.get("LOCAT_TRIALS", "3"))
RANK = "import time; time.sleep(0.2)"
COMMAND_CODE = """
import fcntl, os, subprocess, sys, time
name, needs = sys.argv[1], sys.argv[2:]
def note(what):
    with open(name + '.' + what, 'a') as file:
        file.write(what + chr(10))
alone = open(name + '.alone', 'a')
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note('overlap')
if not all(os.path.exists(need + '.finished') for need in needs):
    note('too-early')
note('began')
# As torchrun's ranks: in a session of its own, with none of our descriptors.
rank = subprocess.Popen([sys.executable, '-S', '-c', {rank!r}], start_new_session=True)
if rank.wait():
    sys.exit('a rank died')
note('finished')
"""
SUBMIT = """
import sys; from pathlib import Path; from support import small_runs
from launcher.backends import BACKENDS
import test_killed_anywhere as jobs
BACKENDS['local'].start(small_runs.make(Path(sys.argv[1]), *jobs.pipeline()))
"""


def pipeline() -> list[PlannedJob]:
    """A diamond and a job beside it."""
    code = COMMAND_CODE.format(rank=RANK)
    jobs = [
        replace(small_runs.job(name, "", needs), command=("python", "-S", "-c", code, name, *needs))
        for name, needs in NEEDS.items()
    ]
    told = Notification((Event("done"), Event("failed")), "webhook", {"secret": "HOOK", "form": "json"})
    return [replace(job, notify=(told,)) if job.name in TOLD else job for job in jobs]


def submit(folder: Path) -> "subprocess.Popen[bytes]":
    """What `launcher submit` does once its pipeline is compiled."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS / 'launcher/attempt'}"}
    command = [sys.executable, "-c", SUBMIT, str(folder)]
    return subprocess.Popen(command, cwd=TESTS.parent, env=environment, start_new_session=True)


def retry(run: RunFolder) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "launcher", "retry", run.name, "--runs-dir", str(run.path.parent)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def of_launcher(run: RunFolder, module: str) -> list[psutil.Process]:
    """Living supervisors or attempt runners of a run."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if module in words and str(run.path) in words:
            found.append(process)
    return found


def of_jobs(run: RunFolder) -> list[psutil.Process]:
    return [process for name in NEEDS for process in processes.of_job(run.job(name))]


def living(run: RunFolder, kind: str, shell: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Whom a SIGKILL can hit: the shell's command, supervisors, attempt runners, commands and ranks."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if kind == SHELL:
            return [psutil.Process(shell.pid)] if shell.poll() is None else []
        return of_jobs(run) if kind == COMMAND else of_launcher(run, kind)
    return []


def holders(run: RunFolder, name: str) -> set[tuple[int, float]]:
    """Commands of a job, by pid and start: they hold its lock. Ranks do not."""
    found = set()
    for process in processes.of_job(run.job(name)):
        try:
            if str(name) in process.cmdline():
                found.add((process.pid, process.create_time()))
        except psutil.Error:
            continue
    return found


def check_truth(run: RunFolder) -> None:
    """What status says agrees with the table of processes, where that did not change meanwhile."""
    before = {name: holders(run, name) for name in NEEDS}
    view = look(run, run.plan())
    for job in view.jobs:
        if before[job.name] & holders(run, job.name):
            assert job.status is Status.RUNNING, (job, before)
    supervised = bool(of_launcher(run, SUPERVISOR))
    if view.status == "stopped":
        assert not view.supervised and not view.ended
    if not supervised and not of_launcher(run, SUPERVISOR):
        assert look(run, run.plan()).status in ("stopped", "done", "failed")


def quiet(run: RunFolder) -> bool:
    return not of_launcher(run, SUPERVISOR) and not of_launcher(run, RUNNER) and not of_jobs(run)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(TRIALS))
def test_killed_anywhere_a_run_is_told_truly_and_completed(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = killed_anywhere(tmp_path, seed)
        small_runs.until(lambda: not of_launcher(run, TELLER))
        teller.tell(run)  # the next occasion, where the last teller was killed
    ids = [body["id"] for body in posts.bodies]
    assert len(set(ids)) == len(ids), "no end is told twice"
    for name in TOLD:
        assert [*run.job(name).notify.glob("0.0-done-*.claim")], "each is told, or its teller was killed telling it"


def killed_anywhere(tmp_path: Path, seed: int) -> RunFolder:
    """A run that has ended in spite of it."""
    draw = random.Random(seed)
    shell = submit(tmp_path)
    run = RunFolder(tmp_path / "test")
    victims = draw.choices([SHELL, SUPERVISOR, RUNNER, COMMAND], [1, 3, 3, 3], k=draw.randint(2, 5))
    tellers = draw.randint(0, 2)
    killed, retries = list[str](), 0
    done: dict[str, int] = {}
    deadline = time.monotonic() + 120
    while True:
        assert time.monotonic() < deadline, (seed, small_runs.statuses(run), run.supervisor_log.read_text())
        if victims and living(run, victims[0], shell):
            time.sleep(draw.uniform(0.0, 0.4))
            if found := living(run, victims[0], shell):
                processes.send([draw.choice(found)], signal.SIGKILL)
                killed.append(victims.pop(0))
        else:
            time.sleep(0.05)
        if tellers and (found := of_launcher(run, TELLER)):
            processes.send([draw.choice(found)], signal.SIGKILL)
            killed.append(TELLER)
            tellers -= 1
        if not (run.path / "plan.json").exists():
            if shell.poll() is not None:  # killed before there was a run: nothing of it is seen
                assert not run.path.exists()
                shell = submit(tmp_path)
            continue
        check_truth(run)
        for name in NEEDS:
            state = run.state(name)
            if state.status is Status.DONE:
                assert (tmp_path / f"test/{name}.finished").exists()
                assert done.setdefault(name, state.attempt) == state.attempt, "what is done is not run again"
            else:
                assert name not in done
        view = look(run, run.plan())
        if view.status == "done":
            break
        if shell.poll() is not None and not view.supervised and (view.ended or quiet(run)):
            retries += 1
            shell = retry(run)
    shell.wait(small_runs.TIMEOUT)
    small_runs.until(lambda: quiet(run))
    assert set(small_runs.statuses(run).values()) == {Status.DONE}
    for name in NEEDS:
        assert not (run.path / f"{name}.overlap").exists(), "two attempts at once"
        assert not (run.path / f"{name}.too-early").exists()
        began = (run.path / f"{name}.began").read_text().count("began")
        assert began <= run.state(name).attempt
    with (run.path / "a.alone").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print(f"seed {seed}: killed {killed}; {retries} retries, attempts {[run.state(name).attempt for name in NEEDS]}")
    return run


def test_a_machine_that_was_restarted_has_lost_what_it_ran(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b", needs=("a",)))
    assert small_runs.attempt(run, "a").wait() == 0
    state = run.state("a")
    init = 1  # a number that lives in any boot
    replace(state, status=Status.RUNNING, pid=init, boot="an earlier one").write(run.job("a").state)
    job = small_runs.view(run, "a")
    assert (job.status, job.reason) == (Status.LOST, f"{state.host} was restarted meanwhile")
    assert processes.runner(run.job("a"), run.state("a")) is None, "its number is somebody else's now"
    assert "to be run again: a" in small_runs.cli(run, "retry").stdout
    small_runs.until(lambda: set(small_runs.statuses(run).values()) == {Status.DONE} and not run.is_supervised())
    assert run.state("a").attempt == 2


def test_another_machine_is_not_judged_by_this_ones_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen over a shared file system whose locks are the machine's own."""
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP_AT_FIRST), small_runs.job("b"))
    runner = small_runs.attempt(run, "a")
    small_runs.until_up(run, "a")
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    host = run.state("a").host
    assert processes.runner(run.job("a"), run.state("a")) is None
    assert small_runs.view(run, "a").reason == f"on {host}", "here the lock is seen"
    cancelled = small_runs.cli(run, "cancel", run.name, "a")
    assert cancelled.exit_code == 2 and f"cancel test on {host} too" in cancelled.stderr, cancelled
    run.job_cancelled("a").unlink()

    run.job_lock("a").unlink()  # and here it is not
    job = small_runs.view(run, "a")
    assert (job.status, job.reason) == (Status.LOST, f"it ran on {host}, whose processes are not seen from here")
    refused = small_runs.cli(run, "retry", run.name)
    assert refused.exit_code == 2 and "retry there, or with --force if that machine is gone" in refused.stderr, refused
    assert run.state("a").status is Status.RUNNING and not run.is_supervised()
    runner.kill()
    runner.wait()
    assert "to be run again: a" in small_runs.cli(run, "retry", run.name, "--force").stdout
    monkeypatch.undo()
    small_runs.until(lambda: set(small_runs.statuses(run).values()) == {Status.DONE})


def test_a_run_that_another_machine_supervises_is_left_to_it(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    run.supervisor_lock.write_text("elsewhere")  # a supervisor that ends by itself takes its name away
    refused = small_runs.cli(run, "retry", run.name)
    assert refused.exit_code == 2 and "test was last supervised on elsewhere" in refused.stderr, refused
    assert small_runs.statuses(run) == {"a": Status.QUEUED}
    assert small_runs.cli(run, "retry", run.name, "--force").stdout.endswith("started a supervisor (test)\n")
    small_runs.until(lambda: small_runs.statuses(run) == {"a": Status.DONE} and not run.is_supervised())
    assert run.supervisor_lock.read_text() == ""
