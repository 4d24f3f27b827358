"""The backbone of a task that is given one: the model in a folder, or one by name with weights from anywhere."""

import json
from typing import Any

import torch
from torch import nn

from locat.config.backbone import FrozenConfig
from locat.contract.job_folder import JobFolder
from locat.engine.distributed import Ranks
from locat.models.any_size import accept_any_size, size_arguments
from locat.models.create import create_model, load_backbone, title
from locat.weights.initial import initialise


def open_backbone(config: FrozenConfig, job: JobFolder, ranks: Ranks) -> tuple[nn.Module, str]:
    """The backbone for images of any size, on the CPU, and its title. Every rank must call it.

    Raises WeightsError, ConfigError and JobError as `load_backbone` and `initialise`.
    """
    if config.model is None:
        assert config.backbone is not None, "one of the two is given"
        return load_backbone(config.backbone)
    model = new_backbone(config)
    initialise(model, config.model, job, ranks, frozen=not getattr(config, "backbone_lr", 0))
    return model, title(config.model)


def new_backbone(config: FrozenConfig) -> nn.Module:
    """Its model, without the weights of `model.init`."""
    if config.model is None:
        assert config.backbone is not None, "one of the two is given"
        return load_backbone(config.backbone)[0]
    args = model_arguments(config)
    with torch.device("meta"):
        any_size = size_arguments(create_model(config.model.with_args(args)))
    return accept_any_size(create_model(config.model.with_args({**any_size, **args})))


def model_arguments(config: FrozenConfig) -> dict[str, Any]:
    """Arguments of `timm.create_model` that make it."""
    if config.model is not None:
        return {"num_classes": 0, **config.model.args}  # nobody asks its classifier
    assert config.backbone is not None, "one of the two is given"
    arguments: dict[str, Any] = json.loads((config.backbone / "config.json").read_text()).get("model_args", {})
    return arguments
