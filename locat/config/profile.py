"""Which steps of a training are recorded, to see what their time and memory go to."""

from typing import Annotated

from pydantic import Field, field_validator

from locat.config.base import NonNegativeInt, PositiveInt, Schema

MOST_STEPS = 200
"""Of one window: a step leaves thousands of events, and a trace of more opens in no viewer."""


class Profile(Schema):
    """Steps of a training that torch's profiler records (docs/profiling.md)."""

    steps: tuple[NonNegativeInt, PositiveInt]
    """After which step the recording begins, and after which it ends; `[50, 60]` records ten. The first steps of a job
    compile and fill caches: they tell little."""
    memory: bool = False
    """Also what memory is taken and given back."""
    ranks: Annotated[list[NonNegativeInt], Field(min_length=1)] = [0]
    """Whose steps; each leaves files of its own."""

    @field_validator("steps")
    @classmethod
    def _is_a_window(cls, steps: tuple[int, int]) -> tuple[int, int]:
        first, last = steps
        if first >= last:
            raise ValueError(f"the recording ends after step {last}, not after {first}, where it begins; give more")
        if last - first > MOST_STEPS:
            raise ValueError(f"{last - first} steps, of at most {MOST_STEPS}; ten are usually enough")
        return steps
