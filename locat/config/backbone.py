"""What every task on a backbone has: which one."""

import math
from pathlib import Path
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from locat.config.base import JobConfig, NonNegativeFloat, Schema
from locat.config.cost import Costs
from locat.config.training import Model


class TunedBackbone(Schema):
    """A task that may train its backbone too."""

    backbone_lr: NonNegativeFloat = 0.0
    """Peak learning rate of the backbone's last block; the schedule is that of `optimizer.lr`, the head's. 0: the
    backbone is frozen."""


class FrozenConfig(JobConfig):
    """A task on a backbone, named in one of two ways; it stays as it is, but where a task is a `TunedBackbone` too."""

    backbone: Path | None = None
    """Folder with model.safetensors and config.json, as a pretraining job's outputs."""
    model: Model | None = None
    """Instead of `backbone`: a model by name, and by its `init` weights from anywhere (docs/finetune.md)."""

    @property
    def called(self) -> str:
        """How messages name the backbone."""
        return f"the backbone in {self.backbone}" if self.model is None else f"the backbone {self.model.name}"

    def multiply_adds(self, costs: Costs, size: int) -> float:
        """Of one forward pass on one image of `size` x `size` pixels."""
        model = self._known(costs)
        return math.nan if model is None else costs.multiply_adds(model, size)

    def parameters(self, costs: Costs) -> float:
        """Of the backbone."""
        model = self._known(costs)
        return math.nan if model is None else costs.parameters(model)

    def _known(self, costs: Costs) -> Model | None:
        if self.model is not None:
            return self.model
        assert self.backbone is not None, "one of the two is given"
        return costs.left_in(self.backbone)

    @model_validator(mode="after")
    def _names_one(self) -> "FrozenConfig":
        if (self.backbone is None) == (self.model is None):
            raise ValueError(
                "a backbone is named by `backbone`, a folder with model.safetensors and config.json, "
                "or by `model`, a name and its init; give one of the two"
            )
        if self.model is not None and self.model.init is None:
            raise ValueError("model.init: no backbone begins with new weights here, so say which it has")
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A config names the one that is given, so that it equals those of earlier checkpoints."""
        values: dict[str, Any] = serialize(self)
        return {key: value for key, value in values.items() if key not in ("backbone", "model") or value is not None}
