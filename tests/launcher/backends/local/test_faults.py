"""What a machine does to a supervisor and its attempts: clocks, folders, names."""

import errno
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher import machine
from launcher.attempt.ending import record
from launcher.backends.local import slots
from launcher.backends.local.supervisor import Supervisor
from launcher.runs.state import JobState, Status
from locat.contract import clock
from locat.contract.errors import UserError
from support import small_runs

DAY = 86400.0


@pytest.mark.parametrize("status", [Status.FAILED, Status.PREEMPTED])
@pytest.mark.parametrize(("in_a_row", "wait"), [(1, 1.0), (3, 4.0), (7, 60.0), (5000, 60.0)])
@pytest.mark.parametrize("set_back", [0.0, 0.5, DAY, 400 * DAY, -DAY])
def test_a_clock_that_is_set_delays_no_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status, in_a_row: int, wait: float, set_back: float
) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    supervisor = Supervisor(run, run.plan())
    state = JobState(status, 1, ended=time.time(), failures=in_a_row, hasty=in_a_row)
    now, monotonic = time.time() - set_back, time.monotonic()
    monkeypatch.setattr("time.time", lambda: now)
    assert supervisor._rest("a", state) <= wait
    monkeypatch.setattr("time.monotonic", lambda: monotonic + wait + 0.1)
    assert supervisor._rest("a", state) <= 0


def test_no_time_is_negative() -> None:
    assert clock.since(time.time() + DAY) == clock.between(2.0, 1.0) == 0
    assert clock.between(1.0, 3.5) == 2.5


@pytest.mark.parametrize("code", [small_runs.SLEEP, "import time; print('up', flush=True); time.sleep(1); exit(1)"])
def test_nothing_comes_back_of_a_run_that_is_deleted_while_it_works(tmp_path: Path, code: str) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", code, retries=3), small_runs.job("b", needs=("a",)))
    with small_runs.supervisor(run) as supervisor:
        small_runs.until_up(run, "a")
        attempt = small_runs.processes.runner(run.job("a"), run.state("a"))
        assert attempt is not None
        shutil.rmtree(run.path)
        assert supervisor.wait(small_runs.TIMEOUT) in (0, 1)
        attempt.terminate()
        small_runs.until(lambda: not attempt.is_running() or attempt.status() == "zombie")
        time.sleep(0.2)
    assert not list(tmp_path.iterdir())


def test_the_end_of_a_run_that_was_deleted_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    assert "cannot record" in record(JobState(Status.DONE), tmp_path / "gone" / "state.json")
    assert time.monotonic() - begun < 1


def test_a_supervisor_outlives_the_folder_it_was_started_in(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"))
    shell = tmp_path / "shell"
    shell.mkdir()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from launcher.backends.local.backend import LocalBackend; from launcher.runs.folder import RunFolder\n"
        "os.rmdir(os.getcwd()); print(LocalBackend().start(RunFolder(Path(sys.argv[1]))))"
    )
    started = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], cwd=shell, capture_output=True, text=True, check=False
    )
    assert (started.returncode, started.stdout) == (0, "started a supervisor\n"), started.stderr
    small_runs.until(lambda: run.state("a").status is Status.DONE)


def test_a_home_that_takes_nothing_does_not_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAT_SLOTS_DIR")
    monkeypatch.setenv("HOME", "/dev/null")
    run = small_runs.make(tmp_path, small_runs.job("a"))
    assert small_runs.cli(run, "retry", run.name).exit_code == 0
    small_runs.until(lambda: run.state("a").status is Status.DONE)


def test_slots_that_cannot_be_locked_are_told_by_submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAT_SLOTS_DIR", "/dev/null/slots")
    with pytest.raises(UserError, match=r"^/dev/null/slots: Not a directory; .* by LOCAT_SLOTS_DIR$"):
        slots.check()
    run = small_runs.make(tmp_path, small_runs.job("a"))
    answer = small_runs.cli(run, "retry", run.name)
    assert answer.exit_code == 2 and "LOCAT_SLOTS_DIR" in str(answer.output)


def test_two_machines_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number that each was given when it was installed; where it has none, by the name alone."""
    files = [tmp_path / "one", tmp_path / "other"]
    for number, file in enumerate(files):
        file.write_text(f"{number}" * 32)
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"))
    monkeypatch.setattr(machine, "ID_FILES", (files[0],))
    mine = JobState(Status.RUNNING, 1, os.getpid(), host=machine.host(), machine=machine.machine_id())
    mine.write(run.job("a").state)
    run.supervisor_lock.write_text(machine.identity())
    assert not mine.is_elsewhere and not run.supervised_elsewhere()
    monkeypatch.setattr(machine, "ID_FILES", (files[1],))
    assert mine.is_elsewhere and run.supervised_elsewhere() == machine.host()
    assert "whose processes are not seen from here" in small_runs.view(run, "a").reason
    assert not replace(mine, machine="").is_elsewhere  # written by an earlier version
    monkeypatch.setattr(machine, "ID_FILES", ())
    assert not mine.is_elsewhere
    assert replace(mine, host="node17").is_elsewhere


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.ESTALE])
def test_a_shortage_of_the_machine_does_not_end_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nor does it keep the slots of what could not be started."""
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.count(tmp_path / "ran")))
    real, refused = subprocess.Popen, []

    def popen(*words: Any, **options: Any) -> Any:
        if len(refused) < 2:
            refused.append(len(os.listdir("/proc/self/fd")))
            raise OSError(number, os.strerror(number))
        return real(*words, **options)

    monkeypatch.setattr("launcher.backends.local.supervisor.subprocess.Popen", popen)
    monkeypatch.setattr("launcher.backends.local.supervisor.POLL", 0.05)
    Supervisor(run, run.plan()).watch()
    assert run.state("a").status is Status.DONE
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert refused[0] == refused[1], "descriptors of slots were left open"


def test_an_error_that_does_not_pass_ends_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))

    def refuse(*words: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr("launcher.backends.local.supervisor.subprocess.Popen", refuse)
    with pytest.raises(OSError, match="read-only"):
        Supervisor(run, run.plan()).watch()
