"""Why MLflow will not take a job's run, however often it is asked, and what the user can do."""

import shlex
from contextlib import suppress
from dataclasses import replace

from mlflow.exceptions import MlflowException

from locat.config import Tracking
from locat.contract.job_folder import JobFolder
from locat.contract.tracking import ParentRun, TrackingCursor
from locat.engine.tracking.client import MlflowClient, connect

DELETED = "deleted"
"""An MLflow LifecycleStage."""
FORBIDDEN = 403


def reason(tracking: Tracking, job: JobFolder, error: Exception) -> str:
    """What MLflow forbids this user or was deleted there, with the remedy; empty if `error` may be gone next time.

    It is noted as the job's trouble, which `launcher status` tells.
    """
    trouble = _reason(tracking, job, error)
    sent = TrackingCursor.read(job)
    if trouble and trouble != sent.trouble:
        with suppress(OSError):
            replace(sent, trouble=trouble).write(job)
    return trouble


def _reason(tracking: Tracking, job: JobFolder, error: Exception) -> str:
    if not isinstance(error, MlflowException) or error.get_http_status_code() >= 500:
        return ""
    if error.get_http_status_code() == FORBIDDEN:
        return (
            f"MLflow does not let this user write to the experiment {tracking.experiment!r}; ask its administrator for"
            " EDIT of it, or submit again with another `tracking.experiment`"
        )
    with suppress(Exception):  # it answered before, and does not now
        return _deleted(connect(tracking.uri), tracking, job)
    return ""


def _deleted(client: MlflowClient, tracking: Tracking, job: JobFolder) -> str:
    parent = ParentRun.read(tracking.parent)
    if trouble := _experiment(client, tracking, parent):
        return trouble
    runs = {tracking.parent / "tracking.json": parent.run_id, job.tracking: TrackingCursor.read(job).run_id}
    found = (_run(client, tracking, run_id, str(file)) for file, run_id in runs.items() if run_id)
    return next(filter(None, found), "")


def _experiment(client: MlflowClient, tracking: Tracking, parent: ParentRun) -> str:
    try:
        by_id = client.get_experiment(parent.experiment_id) if parent.run_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return f"its experiment {tracking.experiment!r} was removed from MLflow for good; submit the pipeline again"
    experiment = by_id or client.get_experiment_by_name(tracking.experiment)
    if experiment is None or experiment.lifecycle_stage != DELETED:
        return ""
    restore = _mlflow(tracking, "experiments", "restore", "--experiment-id", experiment.experiment_id)
    remedy = f"restore it (`{restore}`), or submit again with another `tracking.experiment`"
    return f"the experiment {experiment.name!r} was deleted in MLflow; {remedy}"


def _run(client: MlflowClient, tracking: Tracking, run_id: str, file: str) -> str:
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return f"MLflow has no run {run_id} any more; delete {shlex.quote(file)}, and all is sent as a new run"
    if run.info.lifecycle_stage != DELETED:
        return ""
    restore = _mlflow(tracking, "runs", "restore", "--run-id", run_id)
    return f"the run {run.info.run_name!r} was deleted in MLflow; restore it (`{restore}`)"


def _mlflow(tracking: Tracking, *words: str) -> str:
    return f"MLFLOW_TRACKING_URI={shlex.quote(tracking.uri)} {shlex.join(('mlflow', *words))}"
