"""MLflow: one parent run per pipeline run, one child run per job.

Metrics go to metrics.jsonl first (locat/engine/metric_log.py); a thread replays that file to
the server from a durable cursor. A server that is away delays the replay and never the
training; what is still unsent at the end is sent by the job's next attempt, and losing the
answer to a request is harmless, since replaying identical points changes nothing.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import mlflow
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from locat import durable
from locat.config import JobConfig, Tracking
from locat.engine.metric_log import read_records
from locat.engine.parent_run import commit_tag, open_parent_run
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

    def __init__(self, job: JobFolder, config: JobConfig, tracking: Tracking) -> None:
        self.job, self.config, self.tracking = job, config, tracking
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
                if status == "FINISHED":
                    self._send_outputs(client)
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
        if self.job.tracking.exists():
            self._run_id = json.loads(self.job.tracking.read_text())["run_id"]
            client.update_run(self._run_id, "RUNNING")
        else:
            tags = {**self.tracking.run_tags, **self.tracking.tags, **commit_tag()}
            tags |= {MLFLOW_PARENT_RUN_ID: parent["run_id"], "job_folder": str(self.job.path)}
            run = client.create_run(parent["experiment_id"], run_name=self.job.name, tags=tags)
            self._run_id = run.info.run_id
            params = iter(flatten(self.config.recorded()))
            while batch := [Param(key, str(value)[:PARAM_LENGTH]) for key, value in islice(params, PARAMS_A_REQUEST)]:
                client.log_batch(self._run_id, params=batch)
            self._write_cursor(0)
        self._monitor = SystemMetricsMonitor(self._run_id, sampling_interval=5, resume_logging=True)
        self._monitor.start()
        self._client = client
        return client

    def _send_records(self, client: MlflowClient) -> None:
        cursor = json.loads(self.job.tracking.read_text())["offset"]
        records = read_records(self.job.metrics, cursor)
        while batch := list(islice(records, RECORDS_A_REQUEST)):
            metrics = [
                Metric(key, value, int(record.time * 1000), record.step)
                for record, _ in batch
                for key, value in record.metrics.items()
            ]
            client.log_batch(self._run_id, metrics=metrics)
            self._write_cursor(batch[-1][1])

    def _send_outputs(self, client: MlflowClient) -> None:
        outputs = self.job.outputs
        for path in sorted(outputs.glob(self.config.artifacts)):
            if path.is_file():
                folder = path.parent.relative_to(outputs)
                client.log_artifact(self._run_id, str(path), None if path.parent == outputs else str(folder))

    def _write_cursor(self, offset: int) -> None:
        durable.write_json(self.job.tracking, {"run_id": self._run_id, "offset": offset})


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
