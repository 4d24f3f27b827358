"""Real DINO jobs of two ranks, and the evaluations of what they leave."""

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import timm
import torch
from safetensors.torch import load_file
from sklearn.neighbors import KNeighborsClassifier

from locat.contract.job_folder import ExitCode, JobFolder
from locat.data.loader import Loader
from locat.data.reader import ReadSettings
from locat.data.views import CentreCrop
from locat.models.create import load_backbone
from locat.tasks.classification.frozen import FrozenBackbone
from support import training

pytestmark = pytest.mark.slow

STEPS = 20
OUTPUTS = 32
VIT = {**training.TINY_VIT, "num_classes": 0, "drop_path_rate": 0.1}
EVALUATED = {"image_size": 32, "crop_pct": 1.0, "precision": "fp32"}


def dino(data: dict[str, str]) -> dict[str, Any]:
    return {
        "task": "dino",
        "model": {"name": "locatvit_tiny", "args": VIT},
        "data": data,
        "epochs": STEPS // 4,
        "batch_size": 24,
        "micro_batch_size": 6,
        "optimizer": {"lr": 1e-3, "weight_decay": 0.04, "clip_grad": 3.0, "clip": "tensor"},
        "schedule": {"warmup_epochs": 1, "min_lr": 1e-6},
        "teacher_momentum": 0.9,
        "crops": {"global_size": 32, "local_size": 16, "local_crops": 2},
        "head": {"out_dim": OUTPUTS, "hidden_dim": 64, "bottleneck_dim": 32},
        "precision": "fp32",
        "log_every": 1,
        "checkpoints": {"every_steps": 3},
    }


@pytest.fixture(scope="module")
def pretrained(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished DINO job of two ranks, by the default strategy."""
    folder = tmp_path_factory.mktemp("dino")
    training.write_config(folder, dino(data))
    training.run(folder, ranks=2)
    return folder


def test_it_follows_its_schedules_and_watches_for_collapse(pretrained: Path) -> None:
    losses = list(training.metrics(pretrained, "train/loss").values())
    assert len(losses) == STEPS and all(map(math.isfinite, losses))
    rates = list(training.metrics(pretrained, "train/lr").values())
    assert rates[0] == 0
    assert rates[3] == pytest.approx(1e-3) == rates[4]
    assert rates[-1] < 2e-5
    for step in range(4, STEPS + 1, 4):
        found, of_mean = (training.metrics(pretrained, f"val/{name}")[step] for name in ("entropy", "entropy_of_mean"))
        assert 0 <= found <= of_mean + 1e-5
        assert of_mean <= math.log(OUTPUTS) + 1e-5


def test_it_leaves_the_teachers_backbone_as_timm_loads_it(pretrained: Path) -> None:
    outputs = JobFolder(pretrained).outputs
    model = timm.create_model(f"local-dir:{outputs}", pretrained=True).eval()
    weights = load_file(outputs / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert model(torch.zeros(1, 3, 48, 48)).shape == (1, 24)  # any grid, no classifier
    assert list(model.pretrained_cfg["mean"]) == [0.485, 0.456, 0.406]
    for name in ("crops.png", "attention.png"):
        assert (JobFolder(pretrained).figures / name).stat().st_size > 10_000


def test_a_killed_job_goes_on_as_if_nothing_had_happened(
    data: dict[str, str], pretrained: Path, tmp_path: Path
) -> None:
    training.write_config(tmp_path, dino(data))
    process = subprocess.Popen(training.command(tmp_path, ranks=2), env=training.environment(tmp_path))
    while not JobFolder(tmp_path).metrics.exists() or len(training.metrics(tmp_path, "train/loss")) < 5:
        time.sleep(0.02)
        assert process.poll() is None, training.log(tmp_path)
    for rank in psutil.Process(process.pid).children(recursive=True):
        rank.kill()
    process.kill()
    process.wait()
    assert max(training.metrics(tmp_path, "train/loss")) < STEPS, "it ended before it could be killed"
    training.run(tmp_path, ranks=2)
    assert "resumed from" in training.log(tmp_path)
    for name in ("train/loss", "train/grad_norm", "val/entropy", "val/entropy_of_mean"):
        assert training.metrics(tmp_path, name) == training.metrics(pretrained, name)
    one, other = (JobFolder(folder).outputs / "model.safetensors" for folder in (tmp_path, pretrained))
    assert one.read_bytes() == other.read_bytes()


def test_knn_is_scikit_learns_on_the_teachers_cls(data: dict[str, str], pretrained: Path, tmp_path: Path) -> None:
    config = {"task": "knn", "backbone": str(pretrained / "outputs"), "data": data, "batch_size": 24}
    training.write_config(tmp_path, {**config, **EVALUATED, "neighbours": [3, 10]})
    training.run(tmp_path, ranks=2)
    found = json.loads(JobFolder(tmp_path).results.read_text())
    assert found["model"] == "locatvit_tiny"

    backbone = FrozenBackbone(*load_backbone(pretrained / "outputs"), 32, torch.device("cpu"))
    loaders = (Loader(Path(data[split]), ReadSettings(8), views=(CentreCrop(32, 1.0),)) for split in ("train", "val"))
    batches = [[batch for batch, _ in loader.batches()] for loader in loaders]
    train, val = (torch.cat([backbone.features(batch.image) for batch in split]).double() for split in batches)
    labels, truth = (torch.cat([batch.target for batch in split]) for split in batches)
    for k in (3, 10):
        classifier = KNeighborsClassifier(k, weights=lambda distance: np.exp((1 - distance) / 0.07), metric="cosine")
        expected = 100 * classifier.fit(train, labels).score(val, truth)
        assert found["metrics"][f"top1_k{k}"] == pytest.approx(expected)
        assert training.metrics(tmp_path, f"val/top1_k{k}")[0] == found["metrics"][f"top1_k{k}"]
    training.run(tmp_path, ranks=1)
    assert "done already" in training.log(tmp_path)


def test_a_linear_layer_learns_on_the_frozen_backbone(data: dict[str, str], pretrained: Path, tmp_path: Path) -> None:
    config = {"task": "linear", "backbone": str(pretrained / "outputs"), "data": data, "batch_size": 24, "log_every": 1}
    optimizer = {"name": "sgd", "lr": 0.1, "weight_decay": 0.0, "clip_grad": 0.0}
    training.write_config(tmp_path, {**config, **EVALUATED, "epochs": 10, "optimizer": optimizer})
    before = (JobFolder(pretrained).outputs / "model.safetensors").read_bytes()
    training.run(tmp_path, ranks=2)
    assert (JobFolder(pretrained).outputs / "model.safetensors").read_bytes() == before
    losses = list(training.metrics(tmp_path, "train/loss").values())
    assert sum(losses[-8:]) < sum(losses[:8])
    rates = list(training.metrics(tmp_path, "train/lr").values())
    assert rates[:4] == [0.1] * 4 and rates[4] == pytest.approx(0.05 * (1 + torch.tensor(torch.pi / 10).cos().item()))
    assert json.loads(JobFolder(tmp_path).results.read_text())["metrics"].keys() == {"top1", "top5"}
    head = load_file(JobFolder(tmp_path).outputs / "head.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == {"weight": (10, 24), "bias": (10,)}


def test_a_backbone_of_another_size_is_a_mistake_of_one_line(
    data: dict[str, str], pretrained: Path, tmp_path: Path
) -> None:
    config = {"task": "knn", "backbone": str(pretrained / "outputs"), "data": data, "neighbours": [1]}
    training.write_config(tmp_path, {**config, "image_size": 30})
    training.run(tmp_path, expect=ExitCode.INVALID)
    outcome = json.loads((tmp_path / "attempt" / "outcome.json").read_text())
    assert "image_size 30: the backbone in" in outcome["reason"]
