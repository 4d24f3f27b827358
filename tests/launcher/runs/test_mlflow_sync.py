"""`launcher sync`: what a run's jobs could not tell MLflow, told later; against MLflow's own SQLite store."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from launcher import locks
from launcher.runs import mlflow_sync
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Observation, Status
from launcher.runs.status import derive
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking.state_files import Lifetime
from support import small_runs


def tracked_run(folder: Path, uri: str, *names: str) -> RunFolder:
    """A run of `compare` jobs that are tracked; none was started."""
    tracked = {"uri": uri, "experiment": "test", "parent": str(folder / "test")}
    config = {"task": "compare", "results": ["metrics.json"], "tracking": tracked}
    return small_runs.make(folder, *(replace(small_runs.job(name), config=config) for name in names))


def began(run: RunFolder, name: str, status: Status) -> Lifetime:
    """A job whose server was away: a point is on the disk, nothing was sent."""
    folder = run.job(name)
    JobState(status, attempt=1, started=time.time()).write(folder.state)
    MetricLog(folder.metrics).append(1, {"loss": 1.0})
    return Lifetime.begin(folder)


def sync(run: RunFolder) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "launcher", "sync", run.name, "--runs-dir", str(run.path.parent)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_each_job_could_not_send_is_sent_once_and_only_of_jobs_that_have_ended(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = tracked_run(tmp_path, uri, "done", "killed", "running", "never")
    began(run, "done", Status.DONE).end(run.job("done"), "FINISHED")
    run.job("done").figures.mkdir(parents=True)
    (run.job("done").figures / "a.png").write_text("a picture")
    began(run, "killed", Status.RUNNING)
    began(run, "running", Status.RUNNING)
    lock = locks.acquire(run.job_lock("running"))
    answer = sync(run)
    assert answer.stdout.splitlines() == [
        "running: sends by itself: it still runs",
        "never: nothing to send: it was not tracked",
        "done: sent 1 points, 1 files and its end: FINISHED",
        "killed: sent 1 points, 0 files and its end: FAILED",
    ], answer.stderr
    assert answer.returncode == 0
    parent = json.loads(run.tracking.read_text())
    assert parent["uri"] == uri and not parent["status"]  # a job still runs: so does the run

    store = tmp_path / "mlflow.db"
    store.unlink()
    assert sync(run).stdout.splitlines()[2:] == [f"{name}: nothing left" for name in ("done", "killed")]
    assert not store.exists()  # nothing asked for it
    assert lock is not None
    os.close(lock)


def test_a_run_of_which_nothing_was_tracked_has_nothing_to_send(tmp_path: Path) -> None:
    answer = sync(tracked_run(tmp_path, "http://127.0.0.1:1", "a"))
    assert (answer.returncode, answer.stdout) == (0, "a: nothing to send: it was not tracked\n")


@pytest.mark.parametrize(
    "states, told",
    [
        ({"a": Status.DONE, "b": Status.DONE}, ["--run", "FINISHED", "a=FINISHED", "b=FINISHED"]),
        ({"a": Status.FAILED, "b": Status.QUEUED}, ["--run", "FAILED", "a=FAILED", "b=FAILED"]),
        ({"a": Status.DONE, "b": Status.CANCELLED}, ["--run", "KILLED", "a=FINISHED", "b=KILLED"]),
        ({"a": Status.DONE, "b": Status.PREEMPTED}, ["--run", "KILLED", "a=FINISHED", "b=KILLED"]),
    ],
)
def test_jobs_that_were_killed_are_told_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: dict[str, Status], told: list[str]
) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b", needs=("a",)))
    failures = {Status.FAILED: 1}
    seen = {name: Observation(JobState(status, failures=failures.get(status, 0))) for name, status in states.items()}
    called: list[list[str]] = []
    monkeypatch.setattr(mlflow_sync.subprocess, "call", lambda command, **_: called.append(command) or 1)
    assert mlflow_sync.sync(run, derive(run.plan(), seen, supervised=False)) == 1
    assert [word.replace(f"{run.path}/jobs/", "") for word in called[0][4:]] == told


@pytest.mark.slow
def test_the_last_job_ends_the_run_where_no_supervisor_does(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = tracked_run(tmp_path, uri, "first", "last")
    for name in ("first", "last"):
        began(run, name, Status.QUEUED).end(run.job(name), "FINISHED")
    assert sync(run).returncode == 0
    parent = json.loads(run.tracking.read_text())["run_id"]
    ends = []
    for name in ("first", "last"):
        attempt = [sys.executable, "-m", "launcher.attempt", "--rerun-with", "true", str(run.path), name]
        subprocess.run(attempt, check=True)
        ends.append(MlflowClient(uri).get_run(parent).info.status)
    assert ends == ["KILLED", "FINISHED"]  # nobody saw to the rest when `launcher sync` ran
