"""Real jobs that begin with another job's weights: at another grid and class count, resumed, frozen, and refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

import locat.models  # noqa: F401
from locat.config.weights import Init
from locat.contract import durable
from locat.contract.checkpoint_folder import complete
from locat.contract.errors import WeightsError
from locat.contract.job_folder import ExitCode, JobFolder
from locat.data.augment.normalise import IMAGENET
from locat.weights.fit import fit, refuse
from locat.weights.source import read
from support import training

pytestmark = pytest.mark.slow

BACKBONE = {**training.TINY_VIT, "num_classes": 0}
DINO = {
    "task": "dino",
    "model": {"name": "locatvit_tiny", "args": BACKBONE},
    "epochs": 2,
    "batch_size": 24,
    "teacher_momentum": 0.9,
    "crops": {"global_size": 32, "local_size": 16, "local_crops": 1},
    "head": {"out_dim": 32, "hidden_dim": 64, "bottleneck_dim": 32},
    "precision": "fp32",
    "checkpoints": {"every_steps": 4},
}


@pytest.fixture(scope="module")
def pretrained(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A finished DINO job of 8 steps, in the folder of a run."""
    folder = tmp_path_factory.mktemp("run") / "jobs" / "pretrain"
    training.write_config(folder, {**DINO, "data": data})
    training.run(folder)
    return JobFolder(folder)


def supervised(data: dict[str, str], init: object, **args: Any) -> dict[str, Any]:
    model = {"name": "locatvit_tiny", "args": {**training.TINY_VIT, "patch_size": 4, **args}, "init": init}
    changes = {"epochs": 1, "ema_decay": 0.5, "checkpoints": {"every_steps": 2}}
    return training.supervised(data, model=model, **changes)


def test_a_backbone_is_tuned_at_another_grid_and_a_resumed_job_needs_it_no_more(
    data: dict[str, str], pretrained: JobFolder, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(pretrained.outputs, source)
    job = JobFolder(tmp_path / "tune")
    training.write_config(job.path, supervised(data, str(source)))
    training.run(job.path, ranks=2)
    record = json.loads((job.outputs / "init.json").read_text())
    assert (record["not_loaded"], record["not_used"]) == (["head.weight", "head.bias"], [])
    assert record["sha256"] == durable.sha256(source / "model.safetensors")
    assert "not loaded, and new: head.weight, head.bias" in training.log(job.path)
    described = json.loads((job.outputs / "config.json").read_text())["pretrained_cfg"]
    assert tuple(described["mean"]) == IMAGENET.mean  # DINO's, not those of the model's name

    left = (job.outputs / "model.safetensors").read_bytes()
    losses = training.metrics(job.path, "train/loss")
    shutil.rmtree(source)
    shutil.rmtree(complete(job.checkpoints)[-1])
    job.results.unlink()
    training.run(job.path, ranks=2)
    assert "resumed from" in training.log(job.path)
    assert (job.outputs / "model.safetensors").read_bytes() == left
    assert training.metrics(job.path, "train/loss") == losses
    assert json.loads((job.outputs / "init.json").read_text()) == record


def test_checkpoints_give_the_teacher_or_the_student_of_any_step(pretrained: JobFolder, tmp_path: Path) -> None:
    run = pretrained.path.parents[1]

    def backbone(source: str, weights: Any = None) -> dict[str, torch.Tensor]:
        model = timm.create_model("locatvit_tiny", **BACKBONE)
        given = read(Init(source=source, weights=weights), model, "locatvit_tiny")
        found = fit(model, given)
        refuse(found, model, given.origin)
        assert all(name.startswith("head.") for name in found.unused)
        return dict(model.state_dict())

    def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
        return all(torch.equal(value, other[name]) for name, value in one.items())

    left = load_file(pretrained.outputs / "model.safetensors")
    assert same(backbone(f"run:{run}/pretrain"), left)
    assert same(backbone(f"run:{run}/pretrain@8"), left)
    assert same(backbone(str(pretrained.outputs), "teacher"), left)
    student = backbone(str(pretrained.outputs), "student")
    assert not same(student, left) and same(student, backbone(f"run:{run}/pretrain@8", "student"))
    assert not same(backbone(f"run:{run}/pretrain@4"), left)
    for source, words in {
        f"run:{run}/pretrain@5": "has no checkpoint of step 5; there are 4, 8",
        f"run:{run}/pretrain@best": "keeps no best checkpoint",
        f"run:{run}/none": "is no job's folder",
    }.items():
        with pytest.raises(WeightsError, match=words):
            backbone(source)
    damaged = tmp_path / "jobs/pretrain"
    shutil.copytree(pretrained.path, damaged)
    next(damaged.glob("checkpoints/step-0000008/strategy/*.distcp")).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"has been altered; name another checkpoint"):
        backbone(f"run:{tmp_path}/pretrain@8")


def test_weights_of_another_architecture_end_the_job_and_leave_nothing(
    data: dict[str, str], pretrained: JobFolder, tmp_path: Path
) -> None:
    training.write_config(tmp_path, supervised(data, str(pretrained.outputs), depth=3))
    training.run(tmp_path, expect=ExitCode.INVALID)
    reason = json.loads((tmp_path / "attempt" / "outcome.json").read_text())["reason"]
    assert "does not fit locatvit_tiny: it lacks blocks.2." in reason and "\n" not in reason
    assert not JobFolder(tmp_path).outputs.exists() and not complete(JobFolder(tmp_path).checkpoints)


def test_a_frozen_backbone_by_name_is_that_of_the_folder(
    data: dict[str, str], pretrained: JobFolder, tmp_path: Path
) -> None:
    config = {"task": "knn", "data": data, "neighbours": [5], "image_size": 32, "crop_pct": 1.0}
    named = {"name": "locatvit_tiny", "args": BACKBONE, "init": str(pretrained.outputs)}
    found = []
    for number, which in enumerate([{"backbone": str(pretrained.outputs)}, {"model": named}]):
        training.write_config(tmp_path / str(number), {**config, **which})
        training.run(tmp_path / str(number))
        found.append(json.loads(JobFolder(tmp_path / str(number)).results.read_text()))
    assert found[0] == found[1]
