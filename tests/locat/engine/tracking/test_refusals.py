"""What was deleted in MLflow is told with its remedy, by the job, `sync`, `status` and `doctor`; with MLflow itself."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.tracking import MlflowClient

from launcher.cli import cli
from launcher.runs.folder import RunFolder
from launcher.verbs import doctor
from locat.config import CompareConfig, Tracking
from locat.contract.job_folder import JobFolder
from locat.contract.tracking import ParentRun, TrackingCursor
from locat.contract.tracking_uri import artifact_folder, of_file
from locat.contract.yaml_text import to_yaml
from locat.engine.tracking import tracked
from locat.engine.tracking.client import connect
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking.refusals import reason
from locat.engine.tracking.state_files import Lifetime
from locat.engine.tracking.sync import sync
from support import small_runs

pytestmark = pytest.mark.usefixtures("impatient")


def job_of(folder: Path) -> tuple[RunFolder, JobFolder, CompareConfig, str]:
    """A run of one job that is tracked, in a store that is there."""
    run = small_runs.make(folder / "runs", small_runs.job("a"))
    uri = of_file(folder / "mlflow.db")
    tracking = Tracking(uri=uri, experiment="mine", parent=run.path)
    config = CompareConfig(task="compare", results=[Path("metrics.json")], tracking=tracking)
    job = run.job("a")
    job.config.write_text(to_yaml(config.model_dump(mode="json")))
    return run, job, config, uri


def told(run: RunFolder, sentence: str) -> None:
    """`status`, `status --json` and `doctor` say it."""
    options = ["--runs-dir", str(run.path.parent)]
    status = CliRunner().invoke(cli, ["status", run.name, *options]).output
    assert sentence in " ".join(status.split()) and "launcher sync" in status
    (job,) = json.loads(CliRunner().invoke(cli, ["status", run.name, "--json", *options]).output)["jobs"]
    assert sentence in job["tracking"]
    (check,) = doctor._tracking(run.path.parent)
    assert sentence in check.found and not check.good and not check.needed


def test_a_deleted_experiment_is_told_until_it_is_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    run, job, config, uri = job_of(tmp_path)
    client = connect(uri)
    experiment = client.create_experiment("mine", artifact_folder(uri))
    client.delete_experiment(experiment)
    sentence = "the experiment 'mine' was deleted in MLflow; restore it (`MLFLOW_TRACKING_URI="
    with caplog.at_level(logging.WARNING), tracked(job, config, is_main=True):
        MetricLog(job.metrics).append(1, {"loss": 1.0})
    assert sentence in caplog.text and f"mlflow experiments restore --experiment-id {experiment}`" in caplog.text
    assert "sends later" not in caplog.text
    told(run, sentence)
    assert sync({job.path: "FINISHED"}, None) == 1
    assert f"a: not sent: {sentence}" in capsys.readouterr().out
    client.restore_experiment(experiment)
    assert sync({job.path: "FINISHED"}, None) == 0
    assert TrackingCursor.read(job).trouble == "" and not list(doctor._tracking(run.path.parent))


def delete_experiment(client: MlflowClient, parent: ParentRun, run_id: str) -> None:
    client.delete_experiment(parent.experiment_id)


def delete_run(client: MlflowClient, parent: ParentRun, run_id: str) -> None:
    client.delete_run(run_id)


def delete_parent(client: MlflowClient, parent: ParentRun, run_id: str) -> None:
    client.delete_run(parent.run_id)


@pytest.mark.parametrize(
    ("deleted", "sentence"),
    [
        (delete_experiment, "the experiment 'mine' was deleted in MLflow; restore it"),
        (delete_run, "the run 'a' was deleted in MLflow; restore it"),
        (delete_parent, "the run 'test' was deleted in MLflow; restore it"),
    ],
)
def test_what_is_deleted_while_a_job_waits_to_go_on_is_told(
    tmp_path: Path,
    deleted: Callable[[MlflowClient, ParentRun, str], None],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, job, config, uri = job_of(tmp_path)
    client = connect(uri)
    with tracked(job, config, is_main=True):
        MetricLog(job.metrics).append(1, {"loss": 1.0})
    deleted(client, ParentRun.read(run.path), TrackingCursor.read(job).run_id)
    MetricLog(job.metrics).append(2, {"loss": 0.5})
    Lifetime.begin(job).end(job, "FAILED")
    assert sync({job.path: "FAILED"}, None) == 1
    assert f"a: not sent: {sentence}" in capsys.readouterr().out
    told(run, sentence)


def test_an_experiment_of_somebody_else_is_told(tmp_path: Path) -> None:
    _, job, config, _ = job_of(tmp_path)
    error = MlflowException("failed with error code 403 != 200", PERMISSION_DENIED)
    sentence = "MLflow does not let this user write to the experiment 'mine'; ask its administrator for EDIT of it"
    assert sentence in reason(config.tracking, job, error)
    assert sentence in TrackingCursor.read(job).trouble
    assert reason(config.tracking, job, MlflowException("no answer")) == ""
