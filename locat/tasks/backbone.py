"""The frozen backbone of a task: the model in a folder, or one by name with weights from anywhere."""

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
    args = {"num_classes": 0, **config.model.args}  # nobody asks its classifier
    with torch.device("meta"):
        any_size = size_arguments(create_model(config.model.with_args(args)))
    model = accept_any_size(create_model(config.model.with_args({**any_size, **args})))
    initialise(model, config.model, job, ranks, frozen=True)
    return model, title(config.model)
