"""Requests to MLflow that are bounded in time and create nothing twice."""

import getpass
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# Whoever sends repeats what failed. MLflow's own repetitions block for minutes on a dead server, and a request to
# create that is repeated blindly, since its answer was lost, creates twice.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # seconds
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # reports of its own, to another server
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow.entities import Run, SourceType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID, MLFLOW_SOURCE_TYPE, MLFLOW_USER

from locat.contract.errors import UserError
from locat.contract.tracking_uri import artifact_folder, file_of
from locat.engine.tracking import environment
from locat.imports import uncollected

__all__ = [
    "MLFLOW_GIT_COMMIT",
    "MLFLOW_PARENT_RUN_ID",
    "MlflowClient",
    "Run",
    "add_figure",
    "connect",
    "create_run",
    "delete_doubles",
    "find_experiment",
    "one_line",
]

KEY = "locat.key"
"""Tag by which a run is found whose creation was not answered."""


def connect(uri: str, make: bool = True) -> MlflowClient:
    """A client of the store at `uri`, whatever a shell has set for another; every request goes through one of these.

    Args:
        make: make a SQLite store that is not there.

    Raises:
        UserError: it is not there, and not to be made.
    """
    environment.settle(uri)
    if file_of(uri) is not None:
        with uncollected():
            from locat.engine.tracking import store  # which imports MLflow's tables, for seconds

        ensure = store.ensure if make else store.ensure_there
        ensure(uri)
    return MlflowClient(uri)


def find_experiment(client: MlflowClient, name: str, uri: str) -> str:
    """Id of the experiment called `name`, created by whichever job comes first."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_folder(uri)))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another job was quicker, or the answer was lost
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def create_run(
    client: MlflowClient, experiment_id: str, key: str, name: str, started: float, tags: Mapping[str, str]
) -> str:
    """Id of the run with this key: created now, or by an earlier request whose answer was lost."""
    existing = _runs_of(client, experiment_id, key)
    if existing:
        return existing[0]
    run = client.create_run(experiment_id, int(started * 1000), {**tags, **_origin_tags(), KEY: key}, run_name=name)
    return str(run.info.run_id)


def delete_doubles(client: MlflowClient, experiment_id: str, key: str, run_id: str) -> None:
    """Delete runs that a slow server created after all, when it had been asked again already."""
    for other in _runs_of(client, experiment_id, key):
        if other != run_id:
            client.delete_run(other)


def add_figure(run_id: str, file: Path) -> None:
    """Add a picture to a run of the store that MLFLOW_TRACKING_URI names.

    Raises:
        UserError: the store has no such run, or does not answer.
    """
    try:
        MlflowClient().log_artifact(run_id, str(file), "figures")
    except MlflowException as error:
        raise UserError(
            f"MLflow run {run_id} takes no artifact ({error}); is MLFLOW_TRACKING_URI its store?"
        ) from error


def one_line(error: Exception) -> str:
    """An error's first line; servers in trouble answer with whole pages."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _runs_of(client: MlflowClient, experiment_id: str, key: str) -> list[str]:
    return [run.info.run_id for run in client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'")]


def _origin_tags() -> dict[str, str]:
    """Who runs this code, where that can be told."""
    tags = {MLFLOW_SOURCE_TYPE: SourceType.to_string(SourceType.LOCAL)}
    with suppress(KeyError, OSError):  # a container may run under a number without a name
        tags[MLFLOW_USER] = getpass.getuser()
    return tags
