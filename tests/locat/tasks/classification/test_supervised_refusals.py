"""What the supervised task refuses before anything is computed."""

import pytest
import timm
import torch

import locat.models  # noqa: F401
from locat.config import SupervisedConfig
from locat.contract.errors import ConfigError
from locat.engine.distributed import Ranks
from locat.tasks.classification.supervised import refuse_odd_pairs, refuse_other_size

ALONE = Ranks(0, 1, torch.device("cpu"))
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}


def config(**changes) -> SupervisedConfig:
    required = {"task": "supervised", "model": {"name": "any"}, "data": {"train": "none", "val": "none"}, "epochs": 1}
    return SupervisedConfig(**{**required, "batch_size": 30, **changes})


def test_pairs_in_odd_micro_batches() -> None:
    with pytest.raises(ConfigError, match="15 in a forward pass is odd"):
        refuse_odd_pairs(config(micro_batch_size=15), ALONE)


@pytest.mark.parametrize(
    "changes",
    [
        {"micro_batch_size": 10},
        {"micro_batch_size": 15, "augment": {"name": "imagenet", "mixup": 0.0, "cutmix": 0.0}},
        {"micro_batch_size": 15, "augment": {"name": "shift"}},
    ],
)
def test_even_micro_batches_and_those_without_pairs_pass(changes) -> None:
    refuse_odd_pairs(config(**changes), ALONE)


@pytest.mark.parametrize("name", ["locatvit_tiny", "vit_tiny_patch16_224"])
def test_a_model_for_images_of_another_size(name: str) -> None:
    model = timm.create_model(name, **VIT)
    refuse_other_size(model, 32)
    with pytest.raises(ConfigError, match="image_size 64: the model was built for 32 x 32 pixels"):
        refuse_other_size(model, 64)


def test_a_model_for_any_size_passes() -> None:
    refuse_other_size(timm.create_model("locatvit_tiny", **VIT, dynamic_img_size=True), 64)
    refuse_other_size(torch.nn.Linear(1, 1), 64)
