"""SQLite stores, wherever they lie, whoever gave up while they were made; with MLflow itself."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.tracking.dbmodels.initial_models import Base
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine

from locat.config import CompareConfig, Tracking
from locat.contract.job_folder import JobFolder
from locat.contract.tracking_uri import of_file
from locat.engine.tracking.client import connect
from locat.engine.tracking.job_run import JobRun
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking.state_files import Lifetime
from locat.engine.tracking.store import ensure, is_whole


def tracked_job(folder: Path, uri: str, experiment: str = "mine") -> tuple[JobFolder, CompareConfig, Tracking]:
    """A job with a point and an output that MLflow has not heard of."""
    job = JobFolder(folder / "run" / "jobs" / "job")
    job.outputs.mkdir(parents=True)
    (job.outputs / "table.json").write_text("{}")
    MetricLog(job.metrics).append(1, {"loss": 0.5})
    tracking = Tracking(uri=uri, experiment=experiment, parent=folder / "run")
    return job, CompareConfig(task="compare", results=[Path("metrics.json")], tracking=tracking), tracking


def send(job: JobFolder, config: CompareConfig, tracking: Tracking) -> str:
    """Send all of a job; the id of its run."""
    run = JobRun(job, config, tracking, "key", 1.0, running=False)
    run.end(Lifetime(1.0, "FINISHED", 2.0))
    return run.sent.run_id


@pytest.mark.parametrize("name", ["plain", "a%20b?x=1#y é 漢", "100% 'a' \"b\""])
def test_a_store_at_any_path_has_all_of_a_job(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    uri = of_file(folder / "mlflow.db")
    run_id = send(*tracked_job(folder, uri))
    assert (folder / "mlflow.db").exists()
    assert [point.value for point in MlflowClient(uri).get_metric_history(run_id, "loss")] == [0.5]
    assert list((folder / "mlartifacts").rglob("table.json"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"cwd", name})  # nothing beside it
    assert not any((tmp_path / "cwd").iterdir())


def half_made(file: Path, version: str) -> None:
    """What MLflow leaves that is killed while it makes its tables."""
    if version == "first tables":
        Base.metadata.create_all(create_engine(f"sqlite:///{file}"))
    with closing(sqlite3.connect(file)) as store:
        store.execute("CREATE TABLE secrets (secret_id VARCHAR(36))")
        if version == "later":
            store.execute("CREATE TABLE experiments (experiment_id INTEGER)")
            store.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
            store.execute("INSERT INTO alembic_version VALUES ('451aebb31d03')")
        store.commit()


@pytest.mark.parametrize("version", ["empty", "first tables", "later"])
def test_a_store_that_mlflow_left_half_made_is_made_whole(tmp_path: Path, version: str) -> None:
    file = tmp_path / "mlflow.db"
    file.touch() if version == "empty" else half_made(file, version)
    assert not is_whole(file)
    send(*tracked_job(tmp_path, of_file(file)))
    assert is_whole(file)


def test_what_is_in_a_store_stays(tmp_path: Path) -> None:
    uri = of_file(tmp_path / "mlflow.db")
    connect(uri).create_experiment("kept")
    ensure(uri)
    assert connect(uri).get_experiment_by_name("kept") is not None
    (tmp_path / "other.db").write_bytes(b"no store of MLflow's, but somebody's file")
    before = (tmp_path / "other.db").read_bytes()
    ensure(of_file(tmp_path / "other.db"))
    assert (tmp_path / "other.db").read_bytes() == before


@pytest.mark.slow
def test_killed_at_any_instant_it_leaves_nothing_that_the_next_cannot_finish(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    code = "import sys; from locat.engine.tracking import store; print('up', flush=True); store.ensure(sys.argv[1])"
    took: float | None = None
    for trial in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", code, of_file(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        began = time.monotonic()
        if took is None:
            assert process.wait() == 0
            took = time.monotonic() - began
        else:
            time.sleep(took * random.Random(trial).random())
            process.kill()
            process.wait()
        process.stdout.close()
        ensure(of_file(file))
        assert [each.name for each in MlflowClient(of_file(file)).search_experiments()] == ["Default"]
        for left in tmp_path.glob("mlflow.db*"):
            left.unlink()


@pytest.mark.slow
def test_a_kill_inside_the_copy_is_rolled_back(tmp_path: Path) -> None:
    """SQLite's own journal: the file as a kill leaves it, its first pages written and its journal there."""
    file = tmp_path / "mlflow.db"
    half_made(file, "later")
    source = sqlite3.connect(":memory:", check_same_thread=False)
    source.execute("CREATE TABLE t (x)")
    source.executemany("INSERT INTO t VALUES (?)", [("x" * 5000,)] * 400)
    source.commit()
    child = os.fork()
    if not child:
        source.backup(sqlite3.connect(file), pages=5, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    os.waitpid(child, 0)
    assert not is_whole(file)
    ensure(of_file(file))
    assert is_whole(file)


@pytest.mark.slow
def test_many_that_come_at_once_make_it_once(tmp_path: Path) -> None:
    uri = of_file(tmp_path / "mlflow.db")
    code = "import sys; from locat.engine.tracking.client import connect\n"
    code += "connect(sys.argv[1]).create_experiment(sys.argv[2])"
    jobs = [subprocess.Popen([sys.executable, "-c", code, uri, name], stderr=subprocess.PIPE) for name in "abcd"]
    assert [job.wait() for job in jobs] == [0] * 4, [job.stderr.read() for job in jobs if job.stderr]
    assert {each.name for each in connect(uri).search_experiments()} == {"Default", *"abcd"}
