"""Real jobs that go on from a plain model with LocAt attached: at first the same, then trained, resumed, evaluated."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

import locat.models  # noqa: F401
from locat.config import DinoConfig, KnnConfig, Model, SupervisedConfig
from locat.contract.checkpoint_folder import complete
from locat.contract.errors import WeightsError
from locat.contract.job_folder import ExitCode, JobFolder
from locat.engine.distributed import Ranks
from locat.engine.loop import train
from locat.models.attach import attached_parameters
from locat.models.create import create_model, load_backbone, save_model
from locat.tasks.backbone import open_backbone
from locat.tasks.classification.supervised import Supervised
from locat.tasks.self_supervised.dino import Dino
from support import training
from support.model_reference import fill_for_parity

pytestmark = pytest.mark.slow

PLAIN = "vit_tiny_patch16_224"
SWIN = {
    **{"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": [1, 1], "num_heads": [1, 2]},
    "num_classes": 10,
}
HARDLY = {"epochs": 1, "optimizer": {"lr": 1e-30, "weight_decay": 0.0}, "schedule": {"warmup_epochs": 0, "min_lr": 0.0}}
"""A recipe that leaves every weight as it is, to the last bit."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a job leaves of a plain ViT."""
    return saved({"name": PLAIN, "args": training.TINY_VIT}, tmp_path_factory.mktemp("plain"))


def saved(named: dict[str, Any], folder: Path) -> Path:
    torch.manual_seed(0)
    plain = create_model(Model(**named))
    fill_for_parity(plain)
    save_model(plain, folder, **named["args"])
    return folder


def loaded(folder: Path) -> torch.nn.Module:
    found: torch.nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return found.eval()


def model(weights: object, **attach: Any) -> dict[str, Any]:
    return {"name": PLAIN, "args": training.TINY_VIT, "init": str(weights), "attach": attach}


def tuned(data: dict[str, str], weights: object, **changes: Any) -> dict[str, Any]:
    return training.supervised(data, **{"epochs": 1, "model": model(weights), **changes})


def train_here(job: JobFolder, values: dict[str, Any], ranks: Ranks) -> None:
    """A job in this process: what it imports costs more than what it computes."""
    job.path.mkdir(exist_ok=True)
    config = DinoConfig(**values) if values["task"] == "dino" else SupervisedConfig(**values)
    task = Dino(config, job, ranks) if isinstance(config, DinoConfig) else Supervised(config, job, ranks)
    torch.manual_seed(config.seed)
    train(task, config, job, ranks)


def frozen(weights: object, job: JobFolder, ranks: Ranks, **attach: Any) -> torch.nn.Module:
    """The backbone of a frozen task that names a model and its weights."""
    config = {"task": "knn", "data": {"train": "none", "val": "none"}, "model": model(weights, **attach)}
    return open_backbone(KnnConfig(**config), job, ranks)[0].eval()


def images() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(JobFolder(folder).results.read_text())
    return found


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_dinov2", "vit_small_patch16_dinov3", "swin_tiny_patch4_window7_224"]
)
def test_at_first_a_job_computes_what_the_plain_model_does(
    name: str, data: dict[str, str], ranks: Ranks, tmp_path: Path
) -> None:
    named = {"name": name, "args": SWIN if name.startswith("swin") else training.TINY_VIT}
    source = saved(named, tmp_path)
    named["init"] = str(source)
    jobs = {"without": named, "with": {**named, "attach": {}}}
    for job, chosen in jobs.items():
        train_here(JobFolder(tmp_path / job), training.supervised(data, **HARDLY, model=chosen), ranks)
    losses = [training.metrics(tmp_path / job, "train/loss") for job in jobs]
    assert len(losses[0]) == 4 and losses[1] == pytest.approx(losses[0], abs=1e-6)
    evaluated = [results(tmp_path / job)["metrics"] for job in jobs]
    assert evaluated[0] == evaluated[1]

    left = loaded(JobFolder(tmp_path / "with").outputs)
    assert attached_parameters(left)
    assert_same(left, loaded(source))


def assert_same(found: torch.nn.Module, expected: torch.nn.Module) -> None:
    """Features, and logits where there are any; float32 rounds by as much as is allowed here."""
    found, expected = found.double(), expected.double()
    features = expected.forward_features(images().double())
    torch.testing.assert_close(found.forward_features(images().double()), features, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.forward_head(features), expected.forward_head(features), rtol=0, atol=1e-6)


def test_it_trains_resumes_and_is_evaluated_as_any_model(
    data: dict[str, str], plain: Path, ranks: Ranks, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "attach"
    job = JobFolder(run / "jobs" / "tune")
    training.write_config(job.path, tuned(data, plain, checkpoints={"every_steps": 2}, ema_decay=0.5))
    training.run(job.path, ranks=2)
    left = (job.outputs / "model.safetensors").read_bytes()
    record = json.loads((job.outputs / "init.json").read_text())
    assert {"attn_pool.gate", "blocks.1.attn.gaug.log_var.weight"} < set(record["not_loaded"])
    assert len(record["not_loaded"]) == 2 * 4 + 1 and not record["not_used"]
    assert "not loaded, and new: " in training.log(job.path)
    weights = load_file(job.outputs / "model.safetensors")
    begun = load_file(plain / "model.safetensors")
    assert weights["attn_pool.gate"].abs() > 0 and not torch.equal(weights["pos_embed"], begun["pos_embed"])
    called = f"{PLAIN}, attach=identity"
    assert results(job.path)["model"] == called

    shutil.rmtree(complete(job.checkpoints)[-1])
    job.results.unlink()
    training.run(job.path, ranks=2)
    assert "resumed from" in training.log(job.path)
    assert (job.outputs / "model.safetensors").read_bytes() == left

    backbone, title = load_backbone(job.outputs)
    assert title == called
    for source in (job.outputs, f"run:{run}/tune", f"run:{run}/tune@4"):
        again = frozen(source, JobFolder(tmp_path), ranks)
        assert torch.equal(again.forward_features(images()), backbone.eval().forward_features(images()))
    segment = {"task": "segment", "data": data, "iterations": 4, "batch_size": 8, "hidden_dim": 8, "precision": "fp32"}
    training.write_config(tmp_path / "segment", {**segment, "backbone": str(job.outputs)})
    training.run(tmp_path / "segment")
    assert results(tmp_path / "segment")["model"] == called


@pytest.mark.parametrize("strategy", ["ddp", {"name": "deepspeed", "zero_stage": 3}], ids=str)
def test_every_strategy_carries_its_scalar(strategy: object, data: dict[str, str], plain: Path, tmp_path: Path) -> None:
    training.write_config(tmp_path, tuned(data, plain, strategy=strategy, optimizer={"layer_decay": 0.7}))
    training.run(tmp_path, ranks=2)
    assert load_file(JobFolder(tmp_path).outputs / "model.safetensors")["attn_pool.gate"].abs() > 0


def test_dino_goes_on_from_it(data: dict[str, str], plain: Path, ranks: Ranks, tmp_path: Path) -> None:
    dino = {
        "task": "dino",
        "model": model(plain),
        "data": data,
        "epochs": 1,
        "batch_size": 24,
        "teacher_momentum": 0.5,
        "crops": {"global_size": 32, "local_size": 16, "local_crops": 1},
        "head": {"out_dim": 32, "hidden_dim": 64, "bottleneck_dim": 32},
        "schedule": {"warmup_epochs": 0},
        "precision": "fp32",
    }
    train_here(JobFolder(tmp_path), dino, ranks)
    outputs = JobFolder(tmp_path).outputs
    assert load_file(outputs / "model.safetensors")["attn_pool.gate"].abs() > 0
    assert loaded(outputs)(images()).shape == (4, 24)


def test_a_frozen_backbone_may_have_new_gaussians_only_where_they_change_nothing(
    plain: Path, ranks: Ranks, tmp_path: Path
) -> None:
    identity = frozen(plain, JobFolder(tmp_path), ranks)
    assert attached_parameters(identity)
    assert_same(identity, loaded(plain))
    with pytest.raises(WeightsError, match=f"does not fit {PLAIN}: it lacks blocks.0.attn.gaug.log_var.weight"):
        frozen(plain, JobFolder(tmp_path), ranks, init="paper")


def test_what_does_not_take_it_ends_the_job_and_leaves_nothing(data: dict[str, str], tmp_path: Path) -> None:
    named = {"name": "vit_base_patch16_siglip_224", "args": training.TINY_VIT, "attach": {}}
    training.write_config(tmp_path, training.supervised(data, model=named))
    training.run(tmp_path, expect=ExitCode.INVALID)
    reason = json.loads((tmp_path / "attempt" / "outcome.json").read_text())["reason"]
    assert f"model.attach: {named['name']!r} does not take it: PRR stands before" in reason and "\n" not in reason
    assert not JobFolder(tmp_path).outputs.exists() and not complete(JobFolder(tmp_path).checkpoints)
