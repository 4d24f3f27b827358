"""What may change where a job goes on from another run's checkpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from locat.config import TASKS
from locat.config.branch import Branch, refusals
from locat.config.training import TrainingConfig
from locat.contract.problems import dotted

DATA = {"train": "/data/train.beton", "val": "/data/val.beton"}
MODEL = {"name": "locatvit_tiny", "args": {"num_classes": 10}}
COMMON = {"data": DATA, "batch_size": 8}
CONFIGS: dict[str, dict[str, Any]] = {
    "supervised": {**COMMON, "model": {**MODEL, "init": "timm"}, "epochs": 3, "strategy": "ddp"},
    "dino": {**COMMON, "model": MODEL, "epochs": 3, "strategy": "deepspeed"},
    "linear": {**COMMON, "model": {**MODEL, "init": "timm"}, "epochs": 3},
    "segment": {**COMMON, "backbone": "/run/model", "iterations": 10},
    "tuned": {**COMMON, "task": "segment", "backbone": "/run/model", "iterations": 10, "backbone_lr": 1e-4},
}
MIDDLE = {"step": 7, "epoch": 1, "batch": 3}


def config(task: str, **changes: Any) -> TrainingConfig:
    values = {"task": task, **CONFIGS[task], **changes}
    found = TASKS[values["task"]].model_validate(values)
    assert isinstance(found, TrainingConfig)
    return found


def refused(task: str, position: dict[str, int] = MIDDLE, **changes: Any) -> dict[str, str]:
    return {dotted(path): why for path, why in refusals(config(task).decisive(), config(task, **changes), position)}


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("supervised", {}),
        ("supervised", {"optimizer": {"lr": 1, "weight_decay": 0, "layer_decay": 0.5}, "epochs": 2, "batch_size": 4}),
        ("supervised", {"augment": {"name": "shift"}, "schedule": {"name": "cosine"}, "precision": "fp32"}),
        ("supervised", {"model": {**MODEL, "init": "/other"}, "checkpoints": {"keep": 9}}),  # it is not read
        ("dino", {"temperatures": {"teacher": 0.07}, "weight_decay_end": 0.1}),
        ("segment", {"iterations": 8, "optimizer": {"lr": 1}}),
        ("tuned", {"backbone_lr": 1e-5, "optimizer": {"lr": 1}}),
    ],
)
def test_what_can_change(task: str, changes: dict[str, Any]) -> None:
    assert refused(task, **changes) == {}


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        ("supervised", {"model": {**MODEL, "name": "vit", "init": "timm"}}, {"model.name": "weights are of that"}),
        ("supervised", {"model": {**MODEL, "args": {"num_classes": 7}}}, {"model.args.num_classes": "7, where the"}),
        ("supervised", {"model": MODEL}, {"model.init": "nothing, where the checkpoint has a mapping"}),
        ("supervised", {"optimizer": {"name": "lion"}}, {"optimizer.name": "means nothing to another"}),
        ("supervised", {"optimizer": {"momentum": 0}}, {"optimizer.momentum": "nothing is kept"}),
        ("supervised", {"freeze": {"patterns": ["a"]}}, {"freeze": "no state to go on with"}),
        ("supervised", {"seed": 1, "strategy": "fsdp"}, {"seed": "drawn at random", "strategy.name": "of its own"}),
        ("supervised", {"precision": "fp16", "ema_decay": 0.9}, {"precision": "the scale", "ema_decay": "average"}),
        ("supervised", {"epochs": 1}, {"epochs": "1, of which the checkpoint of step 7 has done 1; give more"}),
        ("supervised", {"batch_size": 16}, {"batch_size": "16 does not divide the 24 images that step 7 is into"}),
        ("dino", {"optimizer": {"layer_decay": 0.5}}, {"optimizer.layer_decay": "DeepSpeed cuts"}),
        ("dino", {"head": {"out_dim": 8}}, {"head.out_dim": "of that head"}),
        ("linear", {"model": {**MODEL, "init": "/other"}}, {"model.init.source": "features of that backbone"}),
        ("segment", {"backbone": "/o", "iterations": 7}, {"backbone": "features", "iterations": "has done 7"}),
        ("segment", {"backbone_lr": 1e-4}, {"backbone_lr": "in no checkpoint"}),
        ("tuned", {"backbone_lr": 0.0}, {"backbone_lr": "in no checkpoint"}),
        ("tuned", {"backbone_lr": 1e-5, "strategy": "deepspeed"}, {"backbone_lr": "DeepSpeed cuts"}),
        ("tuned", {"strategy": "deepspeed", "optimizer": {"lr": 1e-5}}, {"optimizer.lr": "DeepSpeed cuts"}),
    ],
)
def test_what_makes_no_sense(task: str, changes: dict[str, Any], words: dict[str, str]) -> None:
    found = refused(task, **changes)
    changed = {key: why for key, why in found.items() if key in words}
    assert changed.keys() == words.keys(), found
    assert all(words[key] in why for key, why in changed.items()), found


def test_another_task_is_one_refusal() -> None:
    assert dict(refusals(config("dino").decisive(), config("supervised"), MIDDLE)) == {
        ("task",): "'supervised' has no use for a checkpoint of 'dino'; use `model.init`"
    }


def test_data_are_compared_by_their_digests(tmp_path: Path) -> None:
    def data(train: str, digest: str | None) -> dict[str, str]:
        if digest:
            (tmp_path / f"{train}.json").write_text(json.dumps({"sha256": digest}))
        return {"train": str(tmp_path / train), "val": "/data/val.beton"}

    before = config("dino", data=data("old", "1")).decisive()
    for name, digest, words in (("same", "1", ""), ("other", "2", "holds other data"), ("not yet there", None, "")):
        found = dict(refusals(before, config("dino", data=data(name, digest)), MIDDLE))
        assert words in found.get(("data", "train"), "") and bool(words) == bool(found), found
    (tmp_path / "old.json").unlink()
    found = dict(refusals(before, config("dino", data=data("same", "1")), MIDDLE))
    assert "which is gone" in found["data", "train"]


def test_where_it_goes_on_is_a_step_or_the_best() -> None:
    """A config.yaml may be edited and run by hand."""
    assert [Branch(job=Path("/r/jobs/a"), at=at).at for at in ("", "best", "12")] == ["", "best", "12"]
    for wrong in ("worst", "-1", "1.5", "best\n"):
        with pytest.raises(ValidationError):
            Branch(job=Path("/r/jobs/a"), at=wrong)
