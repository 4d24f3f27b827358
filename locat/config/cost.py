"""What the cost of a job is computed from: its config asks, whoever knows the whole pipeline answers."""

from pathlib import Path
from typing import Literal, Protocol

from locat.config.training import Model

FORWARD, TRAINING = 2, 6
"""Operations per multiply-add of a forward pass; of a forward and a backward pass."""
FLOAT32 = 4
"""Bytes."""


class Costs(Protocol):
    """What a job needs to know of models and of the jobs upstream. Every number is NaN where it is not known."""

    def images(self, beton: Path, split: Literal["train", "val"]) -> float:
        """Images in a .beton file that a job upstream writes."""

    def multiply_adds(self, model: Model, size: int) -> float:
        """Multiply-adds of one forward pass on one image of `size` x `size` pixels."""

    def left_in(self, folder: Path) -> Model | None:
        """The model that a job upstream leaves in `folder`; None where it is not known."""

    def parameters(self, model: Model) -> float:
        """Number of parameters."""
