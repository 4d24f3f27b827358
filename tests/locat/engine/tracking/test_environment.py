"""What a shell has left over changes nothing of what is sent, nor where to; with MLflow itself."""

import os
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from requests.utils import should_bypass_proxies

from launcher.verbs.ui import _environment
from locat.contract.tracking_uri import IGNORED, of_file
from locat.engine.tracking.client import connect
from locat.engine.tracking.environment import settle
from locat.engine.tracking.sync import sync
from support.mlflow_server import Proxy
from support.tracked_jobs import make

LEFT_OVER = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:1",
    "MLFLOW_RUN_ID": "f" * 32,
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_RUN_CONTEXT": "{}",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
    "MLFLOW_ENABLE_WORKSPACES": "true",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}


@pytest.fixture
def left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(LEFT_OVER) == set(IGNORED)
    for name, value in LEFT_OVER.items():
        monkeypatch.setenv(name, value)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("left_over")
def test_a_job_is_tracked_where_its_pipeline_says(tmp_path: Path, proxy: Proxy) -> None:
    each = make(tmp_path, proxy)
    from locat.engine.tracking import tracked
    from locat.engine.tracking.metric_log import MetricLog

    with tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
    assert sync({each.job.path: "FINISHED"}, "FINISHED") == 0
    assert each.points() == [(1, 1.0)] and each.run().info.status == "FINISHED"


@pytest.mark.usefixtures("left_over")
def test_so_it_is_in_a_sqlite_store_with_its_model(tmp_path: Path) -> None:
    uri = of_file(tmp_path / "mlflow.db")
    client = connect(uri)
    experiment = client.create_experiment("mine")
    run = client.create_run(experiment)
    client.log_metric(run.info.run_id, "loss", 0.5)
    client.create_registered_model("model")
    again = MlflowClient(uri, registry_uri=uri)
    assert again.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
    assert [model.name for model in again.search_registered_models()] == ["model"]


@pytest.mark.parametrize(
    ("uri", "direct"),
    [
        ("http://localhost:5000", True),
        ("http://127.0.0.1:5000", True),
        ("http://127.8.9.10", True),
        ("http://[::1]:5000", True),
        ("http://mlflow.localhost:5000/x", True),
        ("http://mlflow.example:5000", False),
        ("https://10.0.0.1", False),
    ],
)
@pytest.mark.usefixtures("left_over")
def test_only_a_server_of_this_machine_is_reached_past_a_proxy(
    uri: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "corp.example")
    monkeypatch.delenv("no_proxy", raising=False)
    settle(uri)
    settle(uri)
    assert should_bypass_proxies(uri, no_proxy=None) is direct
    assert should_bypass_proxies("http://corp.example", no_proxy=None)
    assert os.environ.get("no_proxy", "").count("corp") == direct
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.mark.usefixtures("left_over")
def test_credentials_are_the_shells_and_a_page_of_ones_own_takes_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    monkeypatch.setenv("MLFLOW_REGISTRY_STORE_URI", "sqlite:////elsewhere.db")
    settle("http://mlflow.example")
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == "t"
    assert not set(IGNORED) & set(os.environ)
    assert not [name for name in _environment() if "MLFLOW" in name]
