"""What a metric must be for somebody to be told: `val/miou < 5 after 2000`."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from locat.contract.metric_record import Record
from locat.contract.problems import shown

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FORM = re.compile(rf"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*({_NUMBER})(?:\s+after\s+(\d{{1,15}}))?\s*")
LONGEST = 200
"""Characters of a condition."""


@dataclass(frozen=True)
class Condition:
    """That a metric is below or above a number, from a step on."""

    metric: str
    comparison: str
    number: float
    after: int = 0
    """The first step that counts."""

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """What `METRIC < NUMBER [after STEP]` says; `<=`, `>` and `>=` as well.

        Raises:
            ValueError: it is of another form.
        """
        found = _FORM.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            raise ValueError(f"expected METRIC < NUMBER [after STEP], or with <=, > or >=, got {shown(text)}")
        return cls(found[1], found[2], float(found[3]), int(found[4] or 0))

    def is_met(self, record: Record) -> bool:
        """Whether the metrics of a step meet it; a number that is none meets nothing."""
        value = record.metrics.get(self.metric)
        compare = _COMPARISONS[self.comparison]
        return value is not None and record.step >= self.after and compare(value, self.number)

    def said_of(self, record: Record) -> str:
        """What meets it, in words."""
        return f"{self.metric} is {record.metrics[self.metric]:.6g} at step {record.step}, {self}"

    def __str__(self) -> str:
        after = f" after {self.after}" if self.after else ""
        return f"{self.metric} {self.comparison} {self.number:g}{after}"
