"""The MLflow run of a whole pipeline run: created by whichever job comes first, ended by the supervisor.

`python -m locat.engine.parent_run RUN_FOLDER FINISHED` gives it its final status.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

# Bounds on one request; MLflow's own defaults block for minutes on a dead server.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.tracking import MlflowClient
from mlflow.utils.git_utils import get_git_commit
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NOTE

from locat import durable
from locat.config import Tracking

RECORD = "tracking.json"
"""In the run's folder: {"uri", "experiment_id", "run_id"}."""


def open_parent_run(client: MlflowClient, tracking: Tracking) -> dict[str, str]:
    """The pipeline run's {"uri", "experiment_id", "run_id"}, created by whichever job comes first."""
    tracking.parent.mkdir(parents=True, exist_ok=True)
    record = tracking.parent / RECORD
    with (tracking.parent / "tracking.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if record.exists():
            parent: dict[str, str] = json.loads(record.read_text())
            client.update_run(parent["run_id"], "RUNNING")
            return parent
        experiment = client.get_experiment_by_name(tracking.experiment)
        if experiment is None:
            experiment_id = client.create_experiment(tracking.experiment, artifact_folder(tracking.uri))
        else:
            experiment_id = experiment.experiment_id
        tags = {**tracking.run_tags, **commit_tag(), "run_folder": str(tracking.parent)}
        run = client.create_run(experiment_id, run_name=tracking.parent.name, tags=tags)
        pipeline = tracking.parent / "pipeline.yaml"
        if pipeline.exists():
            client.log_artifact(run.info.run_id, str(pipeline))
            client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, f"```yaml\n{pipeline.read_text()}\n```")
        parent = {"uri": tracking.uri, "experiment_id": experiment_id, "run_id": run.info.run_id}
        durable.write_json(record, parent)
        return parent


def artifact_folder(uri: str) -> str | None:
    """Where a new experiment's artifacts go: beside a SQLite store, and where a server decides, None."""
    store = uri.removeprefix("sqlite:///")
    return None if store == uri else str(Path(store).absolute().parent / "mlartifacts")


def commit_tag() -> dict[str, str]:
    """The commit of this code, where it runs from a checkout."""
    commit = get_git_commit(str(Path(__file__).parent))
    return {MLFLOW_GIT_COMMIT: commit} if commit else {}


def main() -> None:
    """Give the parent run of a run folder its final status."""
    folder, status = Path(sys.argv[1]), sys.argv[2]
    parent = json.loads((folder / RECORD).read_text())
    MlflowClient(parent["uri"]).set_terminated(parent["run_id"], status)


if __name__ == "__main__":
    main()
