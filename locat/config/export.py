"""What `export` makes of a trained model (docs/export.md)."""

import math
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from locat.config.base import JobConfig, PositiveFloat, PositiveInt, Schema
from locat.config.cost import FLOAT32, Costs
from locat.config.weights import WholeModel


class Export(Schema):
    """Programs that run a model without this project."""

    format: Literal["pt2", "onnx", "both"] = "both"
    """`pt2` for torch.export.load, `onnx` for ONNX runtimes."""
    size: Annotated[list[PositiveInt], Field(min_length=2, max_length=2)] | None = None
    """Height and width in pixels of the images; by default those that the model was evaluated at."""
    dynamic_size: bool = False
    """Whether the programs take images of other sizes as well."""
    input: Literal["normalised", "pixels"] = "normalised"
    """`normalised`: float32, mean and std taken out. `pixels`: uint8, normalised inside the program."""
    tolerance: PositiveFloat = 1e-4
    """By which a program's answers may differ from the model's, as a part of the largest of these, or of 1."""


class ExportConfig(Export, JobConfig):
    """Write a trained model as a program for torch.export or ONNX, and compare it with the model on photographs."""

    entry: ClassVar[str] = "locat.tasks.export:export"
    outputs: ClassVar[dict[str, str]] = {"model": "model"}

    task: Literal["export"]
    model: WholeModel
    """Folder of the model, as `supervised`, `dino` and `segment` leave it, or `hf-hub:OWNER/NAME`."""

    def storage(self, costs: Costs) -> float:
        """The weights in each file; a head is left out."""
        model = costs.left_in(self.model) if isinstance(self.model, Path) else None
        files = 2 if self.format == "both" else 1
        return math.nan if model is None else files * FLOAT32 * costs.parameters(model)
