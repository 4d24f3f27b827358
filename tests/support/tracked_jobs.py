"""Tracked jobs whose metrics go through a proxy, and what the MLflow server itself says of them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from locat.config import CompareConfig, Tracking
from locat.contract.job_folder import JobFolder
from support.mlflow_server import Proxy, Server


class Tracked(NamedTuple):
    """A job whose metrics go through the proxy, and what the server itself says of it."""

    job: JobFolder
    config: CompareConfig
    server: Server

    @property
    def tracking(self) -> Tracking:
        assert self.config.tracking is not None
        return self.config.tracking

    def runs(self) -> list[Run]:
        client = MlflowClient(self.server.uri)
        experiment = client.get_experiment_by_name(self.tracking.experiment)
        return list(client.search_runs([experiment.experiment_id])) if experiment else []

    def run(self) -> Run:
        """The only run of the job; there is exactly one of the parent beside it."""
        children = [run for run in self.runs() if "mlflow.parentRunId" in run.data.tags]
        (parent,) = (run for run in self.runs() if "mlflow.parentRunId" not in run.data.tags)
        (child,) = (run for run in children if run.data.tags["job_folder"] == str(self.job.path))
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        return child

    def points(self, name: str = "loss") -> list[tuple[int, float]]:
        history = MlflowClient(self.server.uri).get_metric_history(self.run().info.run_id, name)
        return sorted((point.step, point.value) for point in history)

    def files(self) -> list[str]:
        client = MlflowClient(self.server.uri)
        return [entry.path for entry in client.list_artifacts(self.run().info.run_id)]


def make(folder: Path, proxy: Proxy, name: str = "job", experiment: str | None = None) -> Tracked:
    job = JobFolder(folder / "run" / "jobs" / name)
    job.outputs.mkdir(parents=True)
    (job.outputs / "comparison.json").write_text("{}")
    tracking = Tracking(
        uri=proxy.uri,
        experiment=experiment or folder.name,
        parent=folder / "run",
        run_tags={"pipeline": "p"},
        tags={"job": name},
    )
    config = CompareConfig(task="compare", results=[Path("metrics.json")], tracking=tracking)
    job.config.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return Tracked(job, config, proxy.server)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def everything_is_sent(each: Tracked) -> bool:
    record = each.job.tracking
    return record.exists() and json.loads(record.read_text())["offset"] == each.job.metrics.stat().st_size
