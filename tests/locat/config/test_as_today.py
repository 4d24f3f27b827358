"""What a checkpoint of an older version says of its config."""

from typing import Any

import pytest

from locat.config import TASKS
from locat.config.training import TrainingConfig

MODEL = {"name": "locatvit_tiny", "args": {"num_classes": 10}}
DATA = {"train": "/data/train.beton", "val": "/data/val.beton"}
CONFIGS: list[dict[str, Any]] = [
    {"task": "supervised", "model": MODEL, "data": DATA, "epochs": 3, "batch_size": 8},
    {"task": "dino", "model": MODEL, "data": DATA, "epochs": 3, "batch_size": 8},
    {"task": "segment", "backbone": "/data/model", "data": DATA, "iterations": 10, "batch_size": 8},
    {"task": "linear", "backbone": "/data/model", "data": DATA, "epochs": 3, "batch_size": 8},
]


@pytest.mark.parametrize("values", CONFIGS, ids=lambda values: str(values["task"]))
def test_keys_that_an_older_version_did_not_know_have_their_defaults(values: dict[str, Any]) -> None:
    schema = TASKS[values["task"]]
    assert issubclass(schema, TrainingConfig)
    now = schema.model_validate(values).decisive()
    assert schema.as_today(now) == now
    older = {key: value for key, value in now.items() if key in values or key == "optimizer"}
    older["optimizer"] = {key: value for key, value in now["optimizer"].items() if key != "layer_decay"}
    older["optimizer"]["betas"] = [0.9, 0.999]  # written whatever the optimizer, and whoever asked for it
    assert schema.as_today(older) == now
    for changed in ({"batch_size": 16}, {"optimizer": {**older["optimizer"], "lr": 0.5}}):
        assert schema.as_today({**older, **changed}) != now
    assert schema.as_today({**older, "unknown": 1}) == {**older, "unknown": 1}


@pytest.mark.parametrize("values", CONFIGS, ids=lambda values: str(values["task"]))
def test_what_stays_of_checkpoints_is_said_only_where_it_is_asked_for(values: dict[str, Any]) -> None:
    schema = TASKS[values["task"]]
    assert "after" not in schema.model_validate(values).recorded()["checkpoints"]
    asked = schema.model_validate({**values, "checkpoints": {"after": "none"}})
    assert isinstance(asked, TrainingConfig) and asked.recorded()["checkpoints"]["after"] == "none"
    assert schema.model_validate(asked.recorded()).recorded() == asked.recorded()
    plain = schema.model_validate(values)
    assert isinstance(plain, TrainingConfig) and asked.decisive() == plain.decisive(), "an attempt may change it"
