"""Segmentation jobs that train their backbone: alike under every strategy, resumed, loaded again and gone on from."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import locat
import locat.models
from locat.contract.job_folder import ExitCode, JobFolder
from locat.data.loader import Loader
from locat.data.reader import ReadSettings
from locat.models.create import load_backbone
from locat.tasks.segmentation.scores import Confusion, segmentation_scores
from support import training

pytestmark = pytest.mark.slow

STEPS = 6


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.save_tiny(tmp_path_factory.mktemp("backbone"))


def segment(data: dict[str, str], backbone: Path, **changes: Any) -> dict[str, Any]:
    return {
        "task": "segment",
        "data": data,
        "backbone": str(backbone),
        "backbone_lr": 1e-3,
        "iterations": STEPS,
        "batch_size": 24,
        "optimizer": {"lr": 0.01, "clip_grad": 1.0, "layer_decay": 0.7},
        "hidden_dim": 16,
        "loss": {"balanced": True},  # else all is background after so few steps
        "log_every": 1,
        "checkpoints": {"every_steps": 2},
        **changes,
    }


@pytest.fixture(scope="module")
def trained(data: dict[str, str], backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    folder = tmp_path_factory.mktemp("trained")
    training.write_config(folder, segment(data, backbone, activation_checkpointing=True, protocol="exact"))
    training.run(folder, ranks=2)
    return JobFolder(folder)


def weights(job: JobFolder) -> dict[str, torch.Tensor]:
    return {**load_file(job.outputs / "model.safetensors"), **load_file(job.outputs / "head.safetensors")}


def test_backbone_and_head_learn_and_what_is_not_read_stays(trained: JobFolder, backbone: Path) -> None:
    before, after = load_file(backbone / "model.safetensors"), load_file(trained.outputs / "model.safetensors")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    losses = training.metrics(trained.path, "train/loss")
    assert losses[STEPS] < losses[1]
    results = json.loads(trained.results.read_text())
    assert (results["model"], results["variant"]) == ("locatvit_tiny", "trained")


@pytest.mark.parametrize(
    ("strategy", "ranks"), [("ddp", 1), ({"name": "deepspeed", "zero_stage": 3}, 2)], ids=["ddp", "zero3"]
)
def test_every_strategy_trains_alike(
    strategy: Any, ranks: int, data: dict[str, str], backbone: Path, trained: JobFolder, tmp_path: Path
) -> None:
    training.write_config(tmp_path, segment(data, backbone, strategy=strategy, protocol="exact", micro_batch_size=12))
    training.run(tmp_path, ranks=ranks)
    ours, theirs = (training.metrics(folder, "train/loss") for folder in (tmp_path, trained.path))
    assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=1e-4)
    mine, expected = weights(JobFolder(tmp_path)), weights(trained)
    for name, weight in expected.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-3, atol=1e-4)


def test_stopped_and_run_again_it_ends_as_if_nothing_had_happened(
    data: dict[str, str], backbone: Path, trained: JobFolder, tmp_path: Path
) -> None:
    training.write_config(tmp_path, segment(data, backbone, activation_checkpointing=True, protocol="exact"))
    running = subprocess.Popen(training.command(tmp_path, ranks=2), env=training.environment(tmp_path))
    while not list((tmp_path / "checkpoints").glob("step-*")):
        assert running.poll() is None, training.log(tmp_path)
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=60) in (ExitCode.PREEMPTED, 1)
    assert not JobFolder(tmp_path).results.exists()
    training.run(tmp_path, ranks=2)
    assert "resumed from" in training.log(tmp_path)
    for name in ("model.safetensors", "head.safetensors", "segmentation.json", "metrics.json"):
        assert (JobFolder(tmp_path).outputs / name).read_bytes() == (trained.outputs / name).read_bytes()


def test_its_folder_is_a_model_that_finds_what_the_job_found(data: dict[str, str], trained: JobFolder) -> None:
    model = locat.load_segmenter(trained.outputs)
    confusion = Confusion(len(model.classes))
    for batch, _ in Loader(Path(data["val"]), ReadSettings(11), target="mask").batches():
        confusion.add(model.predict(batch.image), batch.target)
    assert (confusion.counts.sum(dim=0) > 0).sum() > 2
    found = 100 * segmentation_scores(confusion.counts)["miou"]
    assert found == pytest.approx(json.loads(trained.results.read_text())["metrics"]["miou"], abs=1e-3)
    images = list(batch.image[:3].permute(0, 2, 3, 1).numpy())
    masks = locat.Model.from_folder(trained.outputs).segment(images)  # which are of the size that it was trained on
    assert all(map(np.array_equal, masks, model.predict(batch.image[:3]).numpy()))
    assert load_backbone(trained.outputs)[1] == "locatvit_tiny"


def test_another_job_goes_on_from_it_with_its_head(data: dict[str, str], trained: JobFolder, tmp_path: Path) -> None:
    model = {"name": "locatvit_tiny", "args": training.TINY_VIT, "init": str(trained.outputs)}
    going_on = {
        **segment(data, tmp_path, model=model, optimizer={"lr": 1e-9}, backbone_lr=0.0, protocol="exact"),
        "iterations": 1,
    }
    del going_on["backbone"]
    training.write_config(tmp_path, going_on)
    training.run(tmp_path)
    assert "begins with the head in" in training.log(tmp_path)
    found = json.loads(JobFolder(tmp_path).results.read_text())
    assert "variant" not in found
    assert found["metrics"]["miou"] == pytest.approx(
        json.loads(trained.results.read_text())["metrics"]["miou"], abs=0.1
    )


@pytest.mark.parametrize("head", ["linear", "upernet", "dpt"])
def test_every_head_is_trained_evaluated_by_windows_and_loaded_again(
    head: str, data: dict[str, str], backbone: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "head": {"name": head},
        "loss": {"cross_entropy": 0.5, "dice": 0.5, "balanced": True},
        "evaluation": {"window": 24, "stride": 8, "flip": True},
        "precision": "bf16",
    }
    if head != "linear":
        changes["head"]["channels"] = 8
    training.write_config(tmp_path, segment(data, backbone, **changes))
    training.run(tmp_path, ranks=2 if head == "upernet" else 1)
    losses = training.metrics(tmp_path, "train/loss")
    assert losses[STEPS] < losses[1]
    results = json.loads(JobFolder(tmp_path).results.read_text())
    assert results["variant"] == f"trained {head}, sliding window, flip"
    model = locat.load_segmenter(JobFolder(tmp_path).outputs)
    assert model.predict(torch.zeros(2, 3, 20, 27, dtype=torch.uint8)).shape == (2, 20, 27)
