"""Runs made of `python -c` jobs, for tests of the runtime: no pipeline, no torch."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from launcher.attempt import processes
from launcher.backends import look
from launcher.cli import cli as command_line
from launcher.plan import Plan, PlannedJob, Resources
from launcher.runs.create import create
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import JobView
from launcher.snapshot.take import Code

TIMEOUT = 50.0
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
CHECKPOINT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); " + SLEEP
PREEMPTED = "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n" + (
    "os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
)
"""A job whose attempt runner is asked to stop at once."""
SAVE = """\
import os, pathlib
job = pathlib.Path(os.environ["LOCAT_ATTEMPT_DIR"]).parents[1]
(job / "checkpoints" / "step-1").mkdir(parents=True, exist_ok=True)
"""
AT_FIRST = "import os; os.environ['LOCAT_ATTEMPT_DIR'].endswith('/1') or exit()\n"
"""Before code that only the first attempt runs."""
CHECKPOINT_AT_FIRST = AT_FIRST + CHECKPOINT
FAIL_ONCE = "import os, sys; sys.exit('boom' if os.environ['LOCAT_ATTEMPT_DIR'].endswith('/1') else 0)"
SLEEP_AT_FIRST = AT_FIRST + SLEEP
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


def job(name: str, code: str = "", needs: tuple[str, ...] = (), retries: int = 0, **resources: int) -> PlannedJob:
    """A job that runs Python code."""
    return PlannedJob(
        name=name,
        group=name,
        matrix={},
        needs=needs,
        command=("python", "-c", code),
        environment={},
        resources=Resources(**resources),
        retries=retries,
        config={"task": "test"},
    )


def make(
    runs: Path, *jobs: PlannedJob, name: str = "test", backend: str = "local", code: Code | None = None
) -> RunFolder:
    """A run folder, not started."""
    plan = Plan(name, "test", "a test", runs / name, f"sqlite:///{runs}/mlflow.db", "test", jobs, backend)
    return create(plan, "name: test\n", runs, code=code)


def until(condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def log_of(run: RunFolder, name: str, attempt: int = 1) -> Path:
    return run.job(name).attempt(attempt) / "launch.log"


def until_up(run: RunFolder, name: str) -> int:
    """The pid of a job's command, once it has come as far as to say that it is up."""
    until(lambda: log_of(run, name).exists() and "up" in log_of(run, name).read_text())
    return processes.of_job(run.job(name))[0].pid


def view(run: RunFolder, name: str) -> JobView:
    return next(each for each in look(run, run.plan()).jobs if each.name == name)


def statuses(run: RunFolder) -> dict[str, Status]:
    return {each.name: each.status for each in look(run, run.plan()).jobs}


@contextmanager
def supervisor(run: RunFolder) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor of this test; killed at its end if it is still there."""
    with run.supervisor_log.open("ab") as log:
        command = [sys.executable, "-m", "launcher.backends.local.supervisor", str(run.path)]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: run.is_supervised() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def supervise(run: RunFolder) -> None:
    """Supervise the run to its end."""
    with supervisor(run) as process:
        assert process.wait(TIMEOUT) == 0, run.supervisor_log.read_text()


def attempt(run: RunFolder, name: str, *options: str) -> "subprocess.Popen[bytes]":
    """An attempt runner started by hand."""
    command = [sys.executable, "-m", "launcher.attempt", *options, str(run.path), name]
    return subprocess.Popen(command, start_new_session=True)


def cli(run: RunFolder, *arguments: str) -> Result:
    """What the command line answers, asked about the folder this run is in."""
    return CliRunner().invoke(command_line, arguments, env={"LAUNCHER_RUNS": str(run.path.parent)})


def wait_for(path: Path) -> str:
    """Code of a job that is up until a file appears."""
    return f"import os, time; print('up', flush=True)\nwhile not os.path.exists({str(path)!r}): time.sleep(0.05)"


def count(path: Path) -> str:
    """Code that appends a line to a file: how often a job ran."""
    return f"open({str(path)!r}, 'a').write('ran\\n')\n"


def spans(run: RunFolder) -> list[tuple[float, float]]:
    """When the latest attempt of each job began and ended."""
    states = [run.state(job.name) for job in run.plan().jobs]
    return sorted((state.started or 0, state.ended or 0) for state in states)


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many of these spans overlap at most."""
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
