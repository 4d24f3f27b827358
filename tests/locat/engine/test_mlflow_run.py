"""Tracking against a real MLflow server, also one that is away."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from locat.config import CompareConfig, Tracking
from locat.engine import mlflow_run
from locat.engine.metric_log import MetricLog
from locat.engine.tracking import tracked
from locat.job_folder import JobFolder

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    process = subprocess.Popen([*command, *store], start_new_session=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def test_what_a_dead_server_missed_is_sent_by_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mlflow_run, "FLUSH_LIMIT", 1.0)
    port = free_port()
    job = JobFolder(tmp_path / "run" / "jobs" / "compare")
    job.outputs.mkdir(parents=True)
    (job.outputs / "comparison.json").write_text("{}")
    tracking = Tracking(
        uri=f"http://127.0.0.1:{port}",
        experiment="outage",
        parent=tmp_path / "run",
        run_tags={"pipeline": "p"},
        tags={"job": "compare"},
    )
    config = CompareConfig(task="compare", results=[], tracking=tracking)
    with tracked(job, config, is_main=True):
        MetricLog(job.metrics).append(1, {"loss": 1.0})
    assert "does not answer" in caplog.text
    assert "keeps it all" in caplog.text
    with server(tmp_path, port):
        with tracked(job, config, is_main=True):
            MetricLog(job.metrics).append(2, {"loss": 0.5})
        client = MlflowClient(tracking.uri)
        record = json.loads((tmp_path / "run" / "tracking.json").read_text())
        parent, child = sorted(
            client.search_runs([record["experiment_id"]]), key=lambda run: run.info.run_id != record["run_id"]
        )
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (parent.data.tags["pipeline"], child.data.tags["job"]) == ("p", "compare")
        assert child.info.status == "FINISHED"
        history = client.get_metric_history(child.info.run_id, "loss")
        assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]
        assert [entry.path for entry in client.list_artifacts(child.info.run_id)] == ["comparison.json"]
