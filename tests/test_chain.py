"""The whole chain, small and real: `launcher submit pipelines/digits.yaml` as a user runs it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from launcher.runs.folder import RunFolder
from locat.config.choice import choose
from locat.engine.checkpoints.manifest import find_fault
from locat.weights.checkpoints import read_job

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MODELS = ("vit_tiny_patch16_224", "locatvit_tiny")
SMALL = {
    "jobs.convert.config.dataset.train_scenes": 128,
    "jobs.convert.config.dataset.val_scenes": 33,
    "jobs.pretrain.config.epochs": 2,
    "jobs.pretrain.config.batch_size": 32,
    "jobs.pretrain.config.log_every": 1,
    "jobs.pretrain.config.checkpoints": "{every_steps: 3, best: top1, after: best}",
    "jobs.segment.config.iterations": 6,
    "jobs.segment.config.log_every": 1,
}

EXPORT = (
    "{task: export, needs: [segment], matrix: {model: [locatvit_tiny]}, resources: {processes: 1}, "
    "config: {model: '${jobs.segment.outputs.model}', format: pt2}}"
)
PREDICT = (
    "{task: predict, needs: [segment, convert], matrix: {model: [locatvit_tiny]}, resources: {processes: 1}, "
    "config: {model: '${jobs.segment.outputs.model}', images: '${jobs.convert.outputs.val}', write: [masks]}}"
)
"""Jobs that the pipeline has not."""


def launcher(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launcher", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=590, check=False)


def submit(runs: Path, **more: object) -> tuple[RunFolder, str]:
    """Run the chain to its end; the run and what was printed."""
    settings = [part for key, value in {**SMALL, **more}.items() for part in ("--set", f"{key}={value}")]
    ended = launcher("submit", "pipelines/digits.yaml", "--watch", "--runs-dir", str(runs), *settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (run,) = (RunFolder(path) for path in runs.iterdir() if (path / "plan.json").exists())
    deadline = time.monotonic() + 60
    while run.is_supervised():  # its last act is to end MLflow's parent run
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return run, ended.stdout


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    return submit(tmp_path_factory.mktemp("runs"), **{"jobs.export": EXPORT, "jobs.predict": PREDICT})


@pytest.fixture(scope="module")
def runs(chain: tuple[RunFolder, str]) -> dict[str, Run]:
    """MLflow's runs of the chain by name, read back through its client."""
    parent = json.loads(chain[0].tracking.read_text())
    client = MlflowClient(parent["uri"])
    return {run.info.run_name: run for run in client.search_runs([parent["experiment_id"]])}


def test_it_ends_with_both_models_side_by_side_and_where_to_look(chain: tuple[RunFolder, str]) -> None:
    run, printed = chain
    comparison = json.loads((run.job("compare").outputs / "comparison.json").read_text())
    assert [row["model"] for row in comparison["rows"]] == list(MODELS)
    for row in comparison["rows"]:
        assert {"model", "top1", "miou"} <= row.keys()
        assert f"{row['miou']:.1f}" in printed
    for figure in run.path.glob("jobs/*/outputs/figures/*.png"):
        assert str(figure) in printed
    assert f"launcher ui --runs-dir {run.path.parent} {run.name}" in printed


def test_every_job_is_done_and_any_shell_can_ask(chain: tuple[RunFolder, str]) -> None:
    run, _ = chain
    answer = launcher("status", run.name, "--json", "--runs-dir", str(run.path.parent))
    jobs = json.loads(answer.stdout)["jobs"]
    assert {job["status"] for job in jobs} == {"done"}
    assert len(jobs) == 8
    logs = launcher("logs", run.name, "pretrain-locatvit_tiny", "--rank", "1", "--runs-dir", str(run.path.parent))
    assert logs.returncode == 0


def test_mlflow_has_a_parent_and_a_child_for_each_job(chain: tuple[RunFolder, str], runs: dict[str, Run]) -> None:
    run, _ = chain
    parent = runs[run.name]
    children = {name for name, child in runs.items() if name != run.name}
    assert children == {job.name for job in run.plan().jobs}
    assert parent.info.status == "FINISHED"
    for name in children:
        tags = runs[name].data.tags
        assert runs[name].info.status == "FINISHED"
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["job_folder"] == str(run.job(name).path)
        assert tags["run_id"] == run.name
    assert len(parent.data.tags["mlflow.source.git.commit"]) == 40
    assert "| pretrain | supervised | convert | model |" in parent.data.tags["mlflow.note.content"]


def test_mlflow_has_parameters_metrics_and_system_metrics(chain: tuple[RunFolder, str], runs: dict[str, Run]) -> None:
    run, _ = chain
    child = runs["pretrain-locatvit_tiny"]
    assert child.data.params["model.name"] == "locatvit_tiny"
    assert child.data.params["strategy.name"] == "fsdp"
    assert child.data.params["model.args.embed_dim"] == "96"
    assert {"train/loss", "train/lr", "throughput/images_per_second", "val/top1"} <= child.data.metrics.keys()
    client = MlflowClient(json.loads(run.tracking.read_text())["uri"])
    logged = {point.step: point.value for point in client.get_metric_history(child.info.run_id, "train/loss")}
    lines = [json.loads(line) for line in run.job(child.info.run_name).metrics.read_text().splitlines()]
    written = {line["step"]: line["metrics"]["train/loss"] for line in lines if "train/loss" in line["metrics"]}
    assert logged == written
    assert len(logged) == 8


def test_mlflow_has_models_and_figures(chain: tuple[RunFolder, str], runs: dict[str, Run]) -> None:
    run, _ = chain
    client = MlflowClient(json.loads(run.tracking.read_text())["uri"])

    def artifacts(name: str, folder: str | None = None) -> set[str]:
        return {entry.path for entry in client.list_artifacts(runs[name].info.run_id, folder)}

    assert {"model.safetensors", "config.json", "metrics.json"} <= artifacts("pretrain-locatvit_tiny")
    assert artifacts("pretrain-locatvit_tiny", "figures") == {"figures/attention.png", "figures/batch.png"}
    segment = artifacts("segment-locatvit_tiny", "figures")
    assert segment == {"figures/overlays.png", "figures/iou.png", "figures/confusion.png"}
    assert {"classes.csv", "classes.json", "head.safetensors"} <= artifacts("segment-locatvit_tiny")
    assert artifacts("export-locatvit_tiny", "model") == {"model/export.json", "model/model.pt2"}
    metrics = runs["export-locatvit_tiny"].data.metrics
    assert 0 <= metrics["model.pt2/difference"] < 1e-4 and metrics["model.pt2/bytes"] > 0
    assert artifacts("predict-locatvit_tiny") == {"counts.json"}
    assert runs["predict-locatvit_tiny"].data.metrics == {"images": 33, "bad": 0, "turned": 0}
    assert len([*run.job("predict-locatvit_tiny").outputs.glob("masks/val/*.png")]) == 33
    assert artifacts("compare", "figures") == {"figures/comparison.png"}
    assert artifacts("convert") == {"figures", "train.beton.json", "val.beton.json"}
    assert "pipeline.yaml" in artifacts(run.name)
    assert str(run.path.parent / "mlartifacts") in runs["compare"].info.artifact_uri


def test_of_a_done_jobs_checkpoints_the_best_is_left_and_is_of_use(chain: tuple[RunFolder, str]) -> None:
    run, _ = chain
    at_runs = ("--runs-dir", str(run.path.parent))
    for model in MODELS:
        job = run.job(f"pretrain-{model}")
        (checkpoint,) = job.checkpoints.iterdir()
        assert checkpoint == choose(job, "best") and find_fault(checkpoint) is None
        assert f"{job.name}: deleted step-" in run.supervisor_log.read_text()
        assert read_job(job.path, "best", None).tensors.keys() == read_job(job.path, "", None).tensors.keys()
    assert "nothing to retry" in launcher("retry", run.name, *at_runs).stdout
    cleaned = launcher("clean", run.name, "--dry-run", *at_runs)
    assert cleaned.returncode == 0 and "pretrain" not in cleaned.stdout, cleaned.stderr


def losses(run: RunFolder, job: str) -> list[float]:
    lines = [json.loads(line)["metrics"] for line in run.job(job).metrics.read_text().splitlines()]
    return [line["train/loss"] for line in lines if "train/loss" in line]


def test_deepspeed_runs_the_same_chain_with_the_same_losses(chain: tuple[RunFolder, str], tmp_path: Path) -> None:
    one = {f"jobs.{job}.matrix.model": "[locatvit_tiny]" for job in ("pretrain", "segment")}
    other, _ = submit(tmp_path, **one, **{"defaults.strategy": "deepspeed"})
    for job in ("pretrain-locatvit_tiny", "segment-locatvit_tiny"):
        assert losses(other, job) == pytest.approx(losses(chain[0], job), rel=1e-4)
