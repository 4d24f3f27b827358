"""The best of a job's evaluations, for numbers that were published so (docs/reproducing.md)."""

import logging
from collections.abc import Mapping

import torch

logger = logging.getLogger(__name__)

PREFIX = "best/"
"""Of its numbers in a checkpoint."""


class Best:
    """What the evaluation with the largest `metric` so far has found; a checkpoint keeps it."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.found: dict[str, float] = {}
        """Empty before the first evaluation."""

    def see(self, found: Mapping[str, float]) -> None:
        """Remember an evaluation if it is better than all before it."""
        if not self.found or found[self.metric] > self.found[self.metric]:
            self.found = dict(found)

    def state(self) -> dict[str, torch.Tensor]:
        """For a checkpoint, beside `Task.state`."""
        return {PREFIX + name: torch.tensor(value, dtype=torch.float64) for name, value in self.found.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned; nothing of a checkpoint that was written before there was any."""
        self.found = {
            name.removeprefix(PREFIX): value.item() for name, value in state.items() if name.startswith(PREFIX)
        }

    def tell(self, last: Mapping[str, float], reported: str) -> None:
        """Log the best beside the last, and which of the two the job reports."""
        best, end = self.found[self.metric], last[self.metric]
        logger.info("%s: best %.2f, last %.2f; metrics.json has the %s", self.metric, best, end, reported)
