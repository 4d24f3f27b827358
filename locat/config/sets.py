"""Which datasets a job reads: one, or several mixed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from locat.config.base import PositiveFloat, Schema
from locat.contract.problems import shown


class WeightedSet(Schema):
    """One of the datasets that a job reads, as `convert` writes it: a .beton file or folder, its manifest beside it."""

    path: Path
    weight: PositiveFloat = 1.0
    """Training: how often an epoch takes each of its images: 2 twice, 0.5 every other one, and the others in the next
    epoch (docs/datasets.md)."""

    def __str__(self) -> str:
        return str(self.path) if self.weight == 1 else f"{self.path} (weight {self.weight:g})"


Sets = tuple[WeightedSet, ...]


def called(sets: Sequence[WeightedSet]) -> str:
    """What messages call them."""
    return " + ".join(map(str, sets))


def _listed(value: Any) -> Any:
    """A list of whatever stands for the sets."""
    match value:
        case str() | Path() | WeightedSet():
            return [value]
        case tuple():
            return value
        case list() if type(value) is not list:  # several instances of a job; none asked for a mixture of them
            raise ValueError(f"expected a path, got {shown(value)}; to mix these datasets, write [...] around it")
        case list():
            return value
    raise ValueError(f"expected a path or a list of paths, got {shown(value)}")


def _from_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str | Path) else value


def _plain(sets: Sets) -> Any:
    """As a user writes them, and earlier versions did: one set is its path, one that weighs as usual, too."""
    plain = [one.path if one.weight == 1 else {"path": one.path, "weight": one.weight} for one in sets]
    return plain[0] if len(plain) == 1 and sets[0].weight == 1 else plain


SetsField = Annotated[
    tuple[Annotated[WeightedSet, BeforeValidator(_from_path)], ...],
    Field(min_length=1),
    BeforeValidator(_listed),
    PlainSerializer(_plain),
]
"""A path, or a list of paths and of `{path, weight}`."""
