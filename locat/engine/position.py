"""Where training stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """Where training stands: what was consumed, not what was fetched."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Epoch of the next batch."""
    batch: int = 0
    """The next batch's number within its epoch."""
