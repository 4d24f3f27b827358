"""The MLflow run of a whole pipeline run: created by whichever job comes first, ended when the run has ended."""

from dataclasses import replace
from pathlib import Path

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME

from locat.config import Tracking
from locat.contract.source import Source
from locat.contract.tracking import ParentRun
from locat.engine.tracking import code, columns
from locat.engine.tracking.client import MlflowClient, connect, create_run, delete_doubles, find_experiment
from locat.engine.tracking.notes import pipeline_note
from locat.engine.tracking.state_files import only_sender


def open_parent_run(client: MlflowClient, tracking: Tracking, started: float, running: bool) -> ParentRun:
    """The pipeline run's MLflow run, created if there is none; marked as RUNNING where a job begins."""
    folder = tracking.parent
    with only_sender(folder) as key:
        parent = ParentRun.read(folder)
        if not parent.run_id:
            parent = _create(client, tracking, key, started).write(folder)
        parent = _told_code(client, parent, folder)
        if running:
            client.update_run(parent.run_id, "RUNNING")
            parent = replace(parent, status="RUNNING", ended=None).write(folder)
        return parent


def _told_code(client: MlflowClient, parent: ParentRun, folder: Path) -> ParentRun:
    """Tell which code the jobs run, unless MLflow knows; `retry --code now` changes it."""
    source = Source.read(folder)
    if source is None or source.digest == parent.code:
        return parent
    code.send(client, parent.run_id, folder, source)
    return replace(parent, code=source.digest).write(folder)


def end_parent_run(folder: Path, status: str, ended: float) -> None:
    """Tell MLflow how the pipeline run of `folder` ended, where it does not know."""
    with only_sender(folder) as key:
        parent = ParentRun.read(folder)
        if not parent.knows(status, ended):
            client = connect(parent.uri)
            delete_doubles(client, parent.experiment_id, key, parent.run_id)
            client.set_terminated(parent.run_id, status, int(ended * 1000))
            replace(parent, status=status, ended=ended).write(folder)


def _create(client: MlflowClient, tracking: Tracking, key: str, started: float) -> ParentRun:
    experiment_id = find_experiment(client, tracking.experiment, tracking.uri)
    columns.share(client, experiment_id)
    tags = {
        **code.of_run(tracking.parent),
        **tracking.run_tags,
        "run_folder": str(tracking.parent),
        MLFLOW_SOURCE_NAME: "launcher submit",
    }
    run_id = create_run(client, experiment_id, key, tracking.parent.name, started, tags)
    pipeline = tracking.parent / "pipeline.yaml"
    if pipeline.exists():
        client.log_artifact(run_id, str(pipeline))
        client.set_tag(run_id, MLFLOW_RUN_NOTE, pipeline_note(tracking.parent, experiment_id))
    return ParentRun(tracking.uri, experiment_id, run_id)
