"""One job's MLflow run: what of it is sent, in which order, and how far that has come.

Everything may be sent again: points, parameters and files that MLflow has already change nothing, and a run
is found by its key. So a request whose answer was lost is simply repeated, by this attempt or a later sender.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import mlflow
from mlflow.entities import Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME

from locat.config import CompareConfig, JobConfig, Tracking
from locat.contract.fence import Fence
from locat.contract.flatten import flatten
from locat.contract.job_folder import JobFolder
from locat.contract.metric_record import Record
from locat.contract.tracking import TrackingCursor
from locat.engine.tracking import code
from locat.engine.tracking.client import connect, create_run, delete_doubles
from locat.engine.tracking.entries import dataset_inputs, register_model
from locat.engine.tracking.metric_log import read_records
from locat.engine.tracking.notes import job_note
from locat.engine.tracking.parent_run import open_parent_run
from locat.engine.tracking.state_files import Lifetime

POINTS_A_REQUEST = 1000  # MLflow's limit
PARAMS_A_REQUEST = 100  # the same
NOT_IN_NAMES = re.compile(r"[^\w.\- :/]")
"""Characters that MLflow refuses in a metric's name, and with it the whole request; `_` is sent for them."""
PARAM_LENGTH = 6000  # characters MLflow takes for a parameter's value


class JobRun:
    """The run of a job, made by whoever is its only sender; created on the server if there is none.

    Every method raises what MLflow or the network raises, and may then be called again.
    """

    def __init__(
        self,
        job: JobFolder,
        config: JobConfig,
        tracking: Tracking,
        key: str,
        started: float,
        running: bool,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """Open it, marked as RUNNING or as it is; `answered` is called whenever the server has answered."""
        self.job, self.config, self.key, self._answered = job, config, key, answered
        self.points = self.files = 0
        self._fence = Fence.here()
        client = connect(tracking.uri)
        mlflow.set_tracking_uri(tracking.uri)  # for MLflow's own thread, which watches the machine
        self._client, self._experiment = client, tracking.experiment
        self._parent = open_parent_run(self._client, tracking, started, running)
        answered()
        self.sent = TrackingCursor.read(job)
        if not self.sent.run_id:
            self._note(run_id=self._create(tracking, started))
        if running:
            self._client.update_run(self.sent.run_id, "RUNNING")
            code.set_tags(self._client, self.sent.run_id, code.of_job(job, tracking.parent))
            self._note(status="RUNNING", ended=None, outputs=())

    def send_records(self) -> None:
        """Send what metrics.jsonl has beyond the cursor."""
        for points, offset in _batches(read_records(self.job.metrics, self.sent.offset)):
            while points:
                for run_id in self._runs_with_metrics():
                    self._client.log_batch(run_id, metrics=points[:POINTS_A_REQUEST])
                self.points += len(points[:POINTS_A_REQUEST])
                points = points[POINTS_A_REQUEST:]
                self._answered()
            self._note(offset=offset)

    def end(self, lifetime: Lifetime) -> None:
        """Send what is left, the outputs of a finished job included, and then how it ended."""
        assert lifetime.ended is not None, "a job that runs has no end to tell"
        self.send_records()
        if lifetime.status == "FINISHED":
            self._send_outputs()
            register_model(self._client, self.job, self._experiment, self.sent.run_id)
            self._answered()
        delete_doubles(self._client, self._parent.experiment_id, self.key, self.sent.run_id)
        self._client.set_terminated(self.sent.run_id, lifetime.status, int(lifetime.ended * 1000))
        self._note(status=lifetime.status, ended=lifetime.ended)

    def _create(self, tracking: Tracking, started: float) -> str:
        tags = {**code.of_job(self.job, tracking.parent), **tracking.run_tags, **tracking.tags}
        tags |= {
            "job_folder": str(self.job.path),
            MLFLOW_PARENT_RUN_ID: self._parent.run_id,
            MLFLOW_SOURCE_NAME: self.config.entry.partition(":")[0],  # the module that does the job
            MLFLOW_RUN_NOTE: job_note(self.job, self.config, self._parent),
        }
        run_id = create_run(self._client, self._parent.experiment_id, self.key, self.job.name, started, tags)
        self._answered()
        params = iter(flatten(self.config.recorded()))
        while batch := [Param(key, str(value)[:PARAM_LENGTH]) for key, value in islice(params, PARAMS_A_REQUEST)]:
            self._client.log_batch(run_id, params=batch)
            self._answered()
        if datasets := dataset_inputs(self.config):
            self._client.log_inputs(run_id, datasets)
            self._answered()
        return run_id

    def _runs_with_metrics(self) -> list[str]:
        """The job's run; the whole pipeline run's too where the job compares what the others found."""
        return [self.sent.run_id, *([self._parent.run_id] if isinstance(self.config, CompareConfig) else [])]

    def _send_outputs(self) -> None:
        for path in sorted(self.job.outputs.glob(self.config.artifacts)):
            name = str(path.relative_to(self.job.outputs))
            if path.is_file() and name not in self.sent.outputs:
                folder = None if path.parent == self.job.outputs else name.rpartition("/")[0]
                self._client.log_artifact(self.sent.run_id, str(path), folder)
                self.files += 1
                self._note(outputs=(*self.sent.outputs, name))

    def _note(self, **changes: Any) -> None:
        """Record what the server has just confirmed; Superseded where that is a newer attempt's to do."""
        self._fence.check()
        self.sent = replace(self.sent, trouble="", **changes)
        self.sent.write(self.job)
        self._answered()


def _batches(records: Iterable[tuple[Record, int]]) -> Iterator[tuple[list[Metric], int]]:
    """Points of whole records, about one request's worth, each with the offset after them."""
    points: list[Metric] = []
    offset = 0
    for record, offset in records:
        for key, value in record.metrics.items():
            points.append(Metric(NOT_IN_NAMES.sub("_", key), value, int(record.time * 1000), record.step))
        if len(points) >= POINTS_A_REQUEST // 2:
            yield points, offset
            points = []
    if offset:
        yield points, offset
