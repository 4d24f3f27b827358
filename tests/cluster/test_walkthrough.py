"""docs/kubernetes.md, followed from an empty cluster to trained models: its commands, as they stand there.

What a reader brings is brought here: the image under its name, volumes for the claims. The digits chain of one model
runs twice, submitted and applied with kubectl, with two pods for the pretraining, and gives the numbers of this
machine; of the second run the pretraining's pods are killed on the way.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from launcher.backends import look
from launcher.runs.find import list_runs
from launcher.runs.folder import RunFolder
from locat.engine.tracking.metric_log import read_records
from support.documents import ROOT, blocks
from support.reader import Reader

from .base import POSTGRES, credentials, prepare, until_ready
from .cluster import Cluster
from .site import IMAGE, statuses
from .test_faults import kill_pods

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(2400)]
DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text()
NAMESPACE = "locat"
PATIENCE = 1500.0
KILLED = "pretrain-locatvit_tiny"
OF_TIME = ("ranks/", "throughput/", "checkpoint/", "usage/")
"""Metrics that tell of speed."""
ONE_MODEL = {"model": ["locatvit_tiny"]}
SMALL: dict[str, Any] = {
    "convert": {"config": {"dataset": {"train_scenes": 128, "val_scenes": 33}}},
    "pretrain": {
        "matrix": ONE_MODEL,
        "config": {"epochs": 2, "batch_size": 32, "log_every": 1, "checkpoints": {"every_steps": 2}},
    },
    "segment": {"matrix": ONE_MODEL, "config": {"iterations": 6, "log_every": 1}},
}


@pytest.fixture(scope="module")
def reader(cluster: Cluster, image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """With images named as step 2 says, and a smaller example."""
    folder = tmp_path_factory.mktemp("reader")
    reader = Reader.with_files(folder, "k8s", "pipelines")
    small = {"include": "digits.yaml", "name": "digits", "jobs": SMALL}
    (folder / "pipelines" / "small.yaml").write_text(yaml.safe_dump(small))
    example = folder / "k8s" / "examples" / "digits.yaml"
    values = yaml.safe_load(example.read_text())
    values["defaults"]["image"] = IMAGE
    values["defaults"] |= {"retries": 1}
    values["defaults"]["resources"]["memory"] = "2G"
    values["include"] = "../../pipelines/small.yaml"
    example.write_text(yaml.safe_dump(values))
    base = folder / "k8s" / "base" / "kustomization.yaml"
    values = yaml.safe_load(base.read_text())
    values["images"] = [
        {"name": "locat", "newName": IMAGE.removesuffix(":test"), "newTag": "test"},
        {"name": "postgres", "newName": POSTGRES, "newTag": "test"},
    ]
    base.write_text(yaml.safe_dump(values))
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
    path = f"{cluster.folder / 'bin'}:{reader.environment['PATH']}"
    reader.environment.update(KUBECONFIG=str(kubeconfig), PATH=path)
    yield reader
    cluster.kubectl("delete", f"namespace/{NAMESPACE}", "--wait=false")


@pytest.fixture(scope="module")
def here(reader: Reader) -> RunFolder:
    """The chain on this machine: `processes: 2` where the example has two nodes."""
    runs = reader.folder / "local"
    reader.does(f"LAUNCHER_RUNS={runs} launcher submit pipelines/small.yaml --wait")
    return list_runs(runs)[0]


def test_every_command_does_what_the_reader_expects(
    cluster: Cluster, reader: Reader, here: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs, setup, run_it, *_ = (content for language, content in blocks(DOCUMENT) if language == "")
    volume = prepare(cluster, NAMESPACE)
    *commands, doctor = setup.splitlines()
    reader.does("\n".join(commands))
    until_ready(cluster, NAMESPACE)
    reader.does(doctor, codes=(0, 1))  # no GPU is a finding

    submit, apply, adopt = run_it.splitlines()
    reader.does(submit)
    (submitted,) = list_runs(reader.runs)
    reader.does("launcher render k8s/examples/digits.yaml --backend kubernetes --run-id digits -o k8s/examples/digits")
    reader.does(apply)
    assert "digits" in reader.does(adopt)
    applied = next(run for run in list_runs(reader.runs) if run.name == "digits")
    monkeypatch.setenv("KUBECONFIG", reader.environment["KUBECONFIG"])
    there = RunFolder(volume / applied.name)
    log = there.job(KILLED).metrics
    cluster.until(lambda: log.exists() and len(numbers(there, KILLED)) > 2, f"steps of {KILLED}", PATIENCE)
    kill_pods(f"/runs/{applied.name}", KILLED)
    cluster.until(lambda: look(applied, applied.plan()).ended, "the applied run's end", PATIENCE)

    jobs = [job for job in statuses(look(here, here.plan())) if job.startswith(("pretrain", "segment"))]
    assert len(jobs) == 2
    for run in (submitted, applied):
        view = look(run, run.plan())
        assert set(statuses(view).values()) == {"done"}
        there = RunFolder(volume / run.name)
        for job in jobs:
            assert numbers(there, job) == numbers(here, job)
            assert results(there, job) == results(here, job)
        assert numbers(there, "compare") == numbers(here, "compare")
    assert RunFolder(volume / applied.name).state(KILLED).attempt == 2
    for command in verbs.splitlines()[1:]:
        reader.does(command.replace("RUN JOB", "digits convert").replace("RUN", "digits"))

    for name, value in credentials(cluster, NAMESPACE).items():
        monkeypatch.setenv(name, value)
    with cluster.forwarded(NAMESPACE, "service/mlflow", 5000) as uri:
        client = MlflowClient(uri)
        for run in (submitted, applied):
            tracked = runs_of(client, run.name)
            for job in jobs:
                losses = of_metric(numbers(here, job), "train/loss")
                assert losses
                assert sorted(set(history(client, tracked[job], "train/loss"))) == losses


def numbers(run: RunFolder, job: str) -> list[tuple[int, dict[str, float]]]:
    """What a job logged that does not tell of speed."""
    return [
        (record.step, {name: value for name, value in record.metrics.items() if not name.startswith(OF_TIME)})
        for record, _ in read_records(run.job(job).metrics, 0)
    ]


def of_metric(logged: list[tuple[int, dict[str, float]]], name: str) -> list[tuple[int, float]]:
    return [(step, metrics[name]) for step, metrics in logged if name in metrics]


def results(run: RunFolder, job: str) -> Any:
    return json.loads(run.job(job).results.read_text())["metrics"]


def runs_of(client: MlflowClient, name: str) -> dict[str, Run]:
    """MLflow's runs of a run's jobs."""
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if run.info.run_name == name)
    assert parent.info.status == "FINISHED"
    return {run.info.run_name: run for run in runs if run.data.tags.get(MLFLOW_PARENT_RUN_ID) == parent.info.run_id}


def history(client: MlflowClient, run: Run, metric: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, metric)]
