"""What is compared with published numbers is computed as they were."""

import pytest

from locat.config import TASKS

DATA = {"train": "train.beton", "val": "val.beton"}
NEEDED = {"segment": {"iterations": 1, "batch_size": 1}, "linear": {"batch_size": 1}}


@pytest.mark.parametrize("task", ["knn", "linear", "segment", "hummingbird"])
def test_frozen_features_are_evaluated_in_float32(task: str) -> None:
    values = {"task": task, "backbone": "model", "data": DATA, **NEEDED.get(task, {})}
    assert TASKS[task].model_validate(values).model_dump()["precision"] == "fp32"
