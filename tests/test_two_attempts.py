"""Two attempts of one job at once: on two hosts that share all files but no locks, as over many networks."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.ends import differences, end_of
from launcher.plan import PlannedJob, Resources
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from locat.contract.checkpoint_folder import complete
from locat.contract.job_folder import ExitCode, JobFolder
from support import required, small_runs, training

pytestmark = pytest.mark.slow
RANKS = 2
PATIENCE = 200.0
"""Seconds; ranks take their time to start on a loaded machine."""
HOST = 'hostname "$1" && mount --bind "$2" "$3" && shift 3 && exec "$@"'
"""Run in namespaces of its own: a host with this name, where this file stands for the job's lock."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    required.require(required.isolation())
    data = training.convert(tmp_path_factory.mktemp("data"))
    return training.supervised(data, epochs=6, checkpoints={"every_steps": 2})


@pytest.fixture(scope="module")
def undisturbed(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    training.write_config(folder, config)
    training.run(folder, RANKS)
    return end_of(JobFolder(folder))


def made(runs: Path, config: dict[str, Any]) -> RunFolder:
    """A run of the one job `a`, with a lock for each host to have another one of."""
    command = (*training.command(runs / "test" / "jobs" / "a", RANKS),)
    environment = {"OMP_NUM_THREADS": "1"}
    job = PlannedJob("a", "a", {}, (), command, environment, Resources(), 0, config)
    run = small_runs.make(runs, job)
    run.job_lock("a").touch()
    return run


@contextmanager
def host(name: str, run: RunFolder) -> Iterator[psutil.Process]:
    """A host that runs an attempt of the job."""
    lock = run.path.parent / f"{name}.lock"
    lock.touch()
    namespaces = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
    attempt = (sys.executable, "-m", "launcher.attempt", str(run.path), "a")
    with (run.path.parent / f"{name}.log").open("wb") as log:
        host = psutil.Popen(
            [*namespaces, "sh", "-c", HOST, "sh", name, str(lock), str(run.job_lock("a")), *attempt],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield host
    finally:
        for process in [*host.children(recursive=True), host] if host.is_running() else []:
            process.kill()
        host.wait()


def send(host: psutil.Process, number: signal.Signals) -> None:
    for process in host.children(recursive=True):
        process.send_signal(number)


def newest_step(run: RunFolder) -> int:
    return max((int(path.name.removeprefix("step-")) for path in complete(run.job("a").checkpoints)), default=0)


def log(run: RunFolder, attempt: int) -> str:
    return (run.job("a").attempt(attempt) / "rank-0.log").read_text()


def test_the_older_one_writes_nothing_that_is_read_and_ends(
    config: dict[str, Any], undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """It is stopped, and woken while the newer one works."""
    run = made(tmp_path, config)
    with host("older", run) as older:
        small_runs.until(lambda: newest_step(run) >= 4, PATIENCE)
        send(older, signal.SIGSTOP)
        left = newest_step(run)
        with host("newer", run) as newer:
            small_runs.until(lambda: newest_step(run) > left, PATIENCE)
            send(older, signal.SIGCONT)
            assert older.wait(PATIENCE) == ExitCode.PREEMPTED, log(run, 1)
            assert newer.wait(PATIENCE) == ExitCode.DONE, log(run, 2)
    state = run.state("a")
    assert (state.status, state.attempt, state.failures, state.host) == (Status.DONE, 2, 0, "newer")
    assert differences(end_of(run.job("a")), undisturbed) == []
    sentence = "attempt 2 of this job has begun, so attempt 1 ends"
    assert log(run, 1).rstrip().endswith(sentence)
    assert (tmp_path / "older.log").read_text() == f"a: {sentence}\n"
