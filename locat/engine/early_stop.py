"""Ends a training when its evaluations find nothing better any more: what `early_stop` in a config asks for."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch

from locat.config.training import EarlyStop as Settings
from locat.contract.errors import ConfigError

logger = logging.getLogger(__name__)

FILE = "early_stop.json"
"""In outputs/: when and why the training ended."""
PREFIX = "early_stop/"
"""Of its numbers in a checkpoint."""


class EarlyStop:
    """Counts the evaluations since the best one; a checkpoint keeps the count, so a restart changes nothing.

    Every rank sees the same numbers, and so decides the same.
    """

    def __init__(self, settings: Settings | None) -> None:
        self.settings = settings
        self.best: float | None = None
        self.best_step = 0
        self.waited = 0
        """Evaluations in a row that were not better."""
        self.step = -1
        """Of the last evaluation."""

    @property
    def reached(self) -> bool:
        """Whether the training ends here."""
        return self.settings is not None and self.waited >= self.settings.patience

    def see(self, step: int, found: Mapping[str, float]) -> None:
        """Take account of the evaluation after `step` updates; of the same one once, however often it is told.

        Raises:
            ConfigError: it has not found the metric: of five classes or fewer there is no top5.
        """
        if self.settings is None or step <= self.step:
            return
        metric = self.settings.metric
        if metric not in found:
            raise ConfigError(f"early_stop.metric: of these data the job evaluates {', '.join(found)}, not {metric}")
        self.step, value = step, found[metric]
        if self._is_better(value, self.settings):
            self.best, self.best_step, self.waited = value, step, 0
        else:
            self.waited += 1

    def _is_better(self, value: float, settings: Settings) -> bool:
        if self.best is None or math.isnan(self.best):
            return self.best is None or not math.isnan(value)
        sign = 1 if settings.best_is == "largest" else -1
        return sign * (value - self.best) > settings.min_delta

    def report(self) -> dict[str, Any]:
        """When and why the training ended."""
        assert self.settings is not None
        return {"stopped_at": self.step, "best": self.best, "best_step": self.best_step, **self.settings.model_dump()}

    def tell(self, total: int) -> None:
        """Say in the log that the training ends."""
        assert self.settings is not None and self.best is not None
        logger.info(
            "stops early, after %d of %d steps: %d evaluations in a row found no better %s than %.4f of step %d",
            *(self.step, total, self.waited, self.settings.metric, self.best, self.best_step),
        )

    def state(self) -> dict[str, torch.Tensor]:
        """For a checkpoint, beside `Task.state`."""
        if self.best is None:
            return {}
        counts = torch.tensor([self.step, self.best_step, self.waited])
        return {PREFIX + "best": torch.tensor(self.best, dtype=torch.float64), PREFIX + "counts": counts}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned."""
        if PREFIX + "best" in state:
            self.best = state[PREFIX + "best"].item()
            self.step, self.best_step, self.waited = state[PREFIX + "counts"].tolist()
