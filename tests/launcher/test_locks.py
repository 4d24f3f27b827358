"""Locks that nobody else can take, and what waits for one that somebody holds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import locks
from launcher.backends.local import backend
from launcher.runs.state import JobState, Status
from locat.engine.tracking.state_files import only_sender
from support import small_runs, uids
from support.required import require

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock `tmp_path/lock`."""
    (tmp_path / "lock").touch()
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_who_may_read_a_run_folder_can_take_none_of_its_locks(tmp_path: Path) -> None:
    require(uids.second())
    uids.let_in(tmp_path)
    (tmp_path / "earlier").touch(0o644)  # by a version that let others read it
    for name in ("job", "earlier"):
        descriptor = locks.acquire(tmp_path / name)
        assert descriptor is not None
        os.close(descriptor)
    with only_sender(tmp_path):
        pass
    found = [path.name for path in tmp_path.iterdir()]
    assert sorted(found) == ["earlier", "job", "tracking.lock"]
    for name in found:
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        tried = uids.run_as_nobody(HOLD.replace("time.sleep(60)", ""), str(tmp_path / name), imports="import fcntl")
        assert "PermissionError" in tried.stderr and "held" not in tried.stdout


def test_another_user_still_sees_whether_a_job_runs(tmp_path: Path) -> None:
    require(uids.second())
    uids.let_in(tmp_path)
    look = "import sys; from pathlib import Path; print(locks.is_held(Path(sys.argv[1])))"
    answers = []
    for is_held in (True, False):
        descriptor = locks.acquire(tmp_path / "lock")
        assert descriptor is not None
        if not is_held:
            os.close(descriptor)
        asked = uids.run_as_nobody(look, str(tmp_path / "lock"), imports="from launcher import locks")
        answers.append(asked.stdout.strip() or asked.stderr)
        if is_held:
            os.close(descriptor)
    assert answers == ["True", "False"]


def test_the_holder_of_a_lock_is_known(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    assert locks.holders(tmp_path / "lock") == [holder.pid]
    assert locks.holders(tmp_path / "nothing") == []


def test_cancel_ends_though_somebody_else_holds_the_lock(
    tmp_path: Path, holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "KILL_TIMEOUT", 0.1)
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"))
    JobState(Status.RUNNING, 1).write(run.job("a").state)
    os.link(tmp_path / "lock", run.job_lock("a"))
    began = time.monotonic()
    answer = small_runs.cli(run, "cancel", run.name, "--grace", "0")
    assert answer.exit_code == 2 and time.monotonic() < began + 10
    assert f"process {holder.pid} holds {run.job_lock('a')}" in answer.output
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert small_runs.cli(run, "cancel", run.name, "--grace", "0").exit_code == 0
