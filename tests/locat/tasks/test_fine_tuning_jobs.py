"""Real jobs that are tuned finely: they stop early, freeze layers and keep the best, whatever restarts come between."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import locat.models  # noqa: F401
from locat.config import Model
from locat.contract.job_folder import JobFolder
from locat.engine.early_stop import FILE
from locat.models.create import create_model
from support import training

pytestmark = pytest.mark.slow

RECIPE = {
    "epochs": 9,
    "evaluate_epochs": 1,
    "ema_decay": 0.9,
    "optimizer": {"name": "lion", "lr": 1e-4, "layer_decay": 0.7},
    "schedule": {"name": "cosine", "warmup_steps": 3},
    "freeze": {"patterns": ["patch_embed.*", "pos_embed"]},
    "early_stop": {"metric": "top1", "patience": 2, "min_delta": 100.0},
    "checkpoints": {"every_steps": 5, "best": "top1", "export": "best"},
}
"""Only the first evaluation can be better than all before it, so that the third one ends the training."""


def check(job: Path) -> None:
    """Whether a job of RECIPE has ended as it must."""
    assert max(training.metrics(job, "train/loss")) == 12
    ended = json.loads((JobFolder(job).outputs / FILE).read_text())
    assert (ended["stopped_at"], ended["best_step"], ended["metric"]) == (12, 4, "top1")
    assert "stops early, after 12 of 36 steps: 2 evaluations in a row found no better top1" in training.log(job)
    results = json.loads(JobFolder(job).results.read_text())
    assert results["last"]["top1"] == results["metrics"]["top1"]  # the weights that are left are the best ones
    torch.manual_seed(0)
    begun = create_model(Model(name="locatvit_tiny", args=training.TINY_VIT)).state_dict()
    left = load_file(JobFolder(job).outputs / "model.safetensors")
    same = {name for name, weight in begun.items() if torch.equal(weight, left[name])}
    assert {"patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed"} <= same
    assert "blocks.0.mlp.fc1.weight" not in same and "head.weight" not in same


def test_a_job_that_stops_early_does_so_after_a_restart_too(data: dict[str, str], tmp_path: Path) -> None:
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    for folder in (alone, stopped):
        training.write_config(folder, training.supervised(data, **RECIPE))
    training.run(alone)
    check(alone)
    training.preempt(stopped, after=5)
    training.run(stopped)
    assert "resumed from" in training.log(stopped)
    check(stopped)
    for name in ("train/loss", "train/lr", "val/top1"):
        assert training.metrics(stopped, name) == training.metrics(alone, name)
    for name in ("model.safetensors", "metrics.json", FILE):
        assert (JobFolder(stopped).outputs / name).read_bytes() == (JobFolder(alone).outputs / name).read_bytes()


@pytest.mark.parametrize("strategy", ["ddp", {"name": "deepspeed", "zero_stage": 2}], ids=str)
def test_every_strategy_ends_alike(strategy: object, data: dict[str, str], tmp_path: Path) -> None:
    training.write_config(tmp_path, training.supervised(data, strategy=strategy, **RECIPE))
    training.run(tmp_path, ranks=2)
    check(tmp_path)
