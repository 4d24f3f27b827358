"""What `predict` asks a trained model about pictures (docs/predict.md)."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from locat.config.base import Fraction, JobConfig, PositiveInt
from locat.config.cost import Costs
from locat.config.weights import WholeModel

Written = Literal["masks", "overlays", "embeddings"]
"""What is written beside the lines."""
LINES = {"predictions": "predictions.jsonl"}
PLACES: dict[Written, str] = {"masks": "masks", "overlays": "overlays", "embeddings": "embeddings.npz"}
"""Of outputs below the job's outputs."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class PredictConfig(JobConfig):
    """Write what a trained model says of pictures: a JSON line for each, and masks, overlays or embeddings."""

    model_config = ConfigDict(serialize_by_alias=True)

    entry: ClassVar[str] = "locat.tasks.predict:predict"
    outputs: ClassVar[dict[str, str]] = LINES
    artifacts: ClassVar[str] = "*.json"
    """The counts: of pictures there may be millions."""
    references: ClassVar[dict[str, Literal["text", "none"]]] = {"write": "none"}

    task: Literal["predict"]
    model: WholeModel
    """Folder of the model, as `supervised`, `dino` and `segment` leave it, or `hf-hub:OWNER/NAME`."""
    pictures: Annotated[list[Path], Field(min_length=1, alias="images"), BeforeValidator(_listed)]
    """Files, folders, globs and .beton files; one may stand alone, without a list."""
    write: list[Written] = []
    """What is written beside the lines; each is an output of its name."""
    top: PositiveInt = 5
    """Labels told of an image."""
    batch_size: PositiveInt = 32
    """Images of one forward pass, at most."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of matrix products."""
    upright: bool = False
    """Whether images are turned as their EXIF says; training does not turn them."""
    most_bad: Fraction = 0.0
    """Share of the images that may be unreadable. More fail the job, once the others are answered."""

    @classmethod
    def reading(cls, values: Mapping[str, Any]) -> type["PredictConfig"]:
        """The class whose outputs are those that `values` has written."""
        written = values.get("write")
        asked = written if isinstance(written, list) else []
        return _writing(tuple(name for name in PLACES if name in asked))

    def storage(self, costs: Costs) -> float:
        """Not known: the images are not."""
        return math.nan


@cache
def _writing(names: tuple[Written, ...]) -> type[PredictConfig]:
    class Writing(PredictConfig):
        outputs: ClassVar[dict[str, str]] = {**LINES, **{name: PLACES[name] for name in names}}

    return Writing
