"""MLflow: one parent run per pipeline run, one child run per job.

Metrics go to metrics.jsonl first (locat/engine/metric_log.py); a thread replays that file to
the server from a durable cursor. A server that is away delays the replay and never the
training; what is still unsent at the end is sent by the job's next attempt, and losing the
answer to a request is harmless, since replaying identical points changes nothing.
"""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

# Bounds on one request; MLflow's own defaults block for minutes on a dead server.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

import mlflow
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from locat import durable
from locat.config import Tracking
from locat.engine.metric_log import read_records
from locat.job_folder import JobFolder

logger = logging.getLogger(__name__)

REPLAY_INTERVAL = 2.0  # seconds
FLUSH_LIMIT = 60.0  # seconds that a finished job waits for the server
RECORDS_A_REQUEST = 100  # of about five metrics each; a request may carry 1,000 metrics
PARAM_LENGTH = 6000  # characters MLflow takes for a parameter's value
PARAMS_A_REQUEST = 100

SERVER_TROUBLE = (MlflowException, OSError)


class Tracker:
    """Keeps one job's MLflow run, from a thread of its own."""

    def __init__(self, job: JobFolder, tracking: Tracking, config: Mapping[str, Any]) -> None:
        self.job, self.tracking, self.config = job, tracking, config
        self._cursor_file = job.path / "tracking.json"
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._monitor: SystemMetricsMonitor | None = None
        self._warned = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._replay_until_ending, name="mlflow-replay", daemon=True)
        self._thread.start()

    def finish(self, status: str) -> None:
        """Send what is left, the outputs included, and end the run as `status` (an MLflow RunStatus name)."""
        self._ending.set()
        self._thread.join()
        deadline = time.monotonic() + FLUSH_LIMIT
        while True:
            try:
                client = self._connect()
                self._send_records(client)
                if self._monitor is not None:
                    self._monitor.finish()
                    self._monitor = None
                if self.job.outputs.exists() and status == "FINISHED":
                    client.log_artifacts(self._run_id, str(self.job.outputs))
                client.set_terminated(self._run_id, status)
                return
            except SERVER_TROUBLE as error:
                self._warn(error)
                if time.monotonic() > deadline:
                    logger.warning("MLflow has not everything; %s keeps it all", self.job.metrics)
                    return
                time.sleep(REPLAY_INTERVAL)

    def _replay_until_ending(self) -> None:
        while not self._ending.is_set():
            try:
                self._send_records(self._connect())
            except SERVER_TROUBLE as error:
                self._warn(error)
            self._ending.wait(REPLAY_INTERVAL)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("MLflow does not answer (%s); the job goes on and sends later", error)

    def _connect(self) -> MlflowClient:
        """The client, with this job's run created or taken up again on the first call that succeeds."""
        if self._client is not None:
            return self._client
        mlflow.set_tracking_uri(self.tracking.uri)
        client = MlflowClient(self.tracking.uri)
        parent = open_parent_run(client, self.tracking)
        if self._cursor_file.exists():
            self._run_id = json.loads(self._cursor_file.read_text())["run_id"]
            client.update_run(self._run_id, "RUNNING")
        else:
            links = {MLFLOW_PARENT_RUN_ID: parent["run_id"], "locat.job_folder": str(self.job.path)}
            tags = {**links, **self.tracking.tags}
            run = client.create_run(parent["experiment_id"], run_name=self.job.name, tags=tags)
            self._run_id = run.info.run_id
            params = iter(flatten(self.config))
            while batch := [Param(key, str(value)[:PARAM_LENGTH]) for key, value in islice(params, PARAMS_A_REQUEST)]:
                client.log_batch(self._run_id, params=batch)
            self._write_cursor(0)
        self._monitor = SystemMetricsMonitor(self._run_id, sampling_interval=5, resume_logging=True)
        self._monitor.start()
        self._client = client
        return client

    def _send_records(self, client: MlflowClient) -> None:
        cursor = json.loads(self._cursor_file.read_text())["offset"]
        records = read_records(self.job.metrics, cursor)
        while batch := list(islice(records, RECORDS_A_REQUEST)):
            metrics = [
                Metric(key, value, int(record.time * 1000), record.step)
                for record, _ in batch
                for key, value in record.metrics.items()
            ]
            client.log_batch(self._run_id, metrics=metrics)
            self._write_cursor(batch[-1][1])

    def _write_cursor(self, offset: int) -> None:
        durable.write_json(self._cursor_file, {"run_id": self._run_id, "offset": offset})


def open_parent_run(client: MlflowClient, tracking: Tracking) -> dict[str, str]:
    """The pipeline run's {"uri", "experiment_id", "run_id"}, created by whichever job comes first."""
    tracking.parent.mkdir(parents=True, exist_ok=True)
    record = tracking.parent / "tracking.json"
    with (tracking.parent / "tracking.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if record.exists():
            parent: dict[str, str] = json.loads(record.read_text())
            client.update_run(parent["run_id"], "RUNNING")
            return parent
        experiment = client.get_experiment_by_name(tracking.experiment)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(tracking.experiment)
        name = tracking.parent.name
        tags = {MLFLOW_RUN_NAME: name, "locat.run_folder": str(tracking.parent), **tracking.tags}
        run = client.create_run(experiment_id, run_name=name, tags=tags)
        pipeline = tracking.parent / "pipeline.yaml"
        if pipeline.exists():
            client.log_artifact(run.info.run_id, str(pipeline))
            client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, f"```yaml\n{pipeline.read_text()}\n```")
        parent = {"uri": tracking.uri, "experiment_id": experiment_id, "run_id": run.info.run_id}
        durable.write_json(record, parent)
        return parent


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
