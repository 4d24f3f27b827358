"""A line of metrics.jsonl: the metrics of one step, as a job appends them and others read them."""

import json
import math
from dataclasses import dataclass


def in_json(number: float) -> float | str:
    """A number for JSON, which has no NaN and no infinities: these are written as strings."""
    return number if math.isfinite(number) else str(number)


def in_line(name: str) -> bytes:
    """A metric's name, or a part of one, as it stands in a line."""
    return json.dumps(name)[1:-1].encode()


@dataclass(frozen=True)
class Record:
    """Metrics of one step."""

    step: int
    time: float
    """Unix time in seconds."""
    metrics: dict[str, float]

    @classmethod
    def from_line(cls, line: bytes) -> "Record":
        """The inverse of `to_line`.

        Raises:
            ValueError: the line is no record.
        """
        try:
            values = json.loads(line)
            metrics = {key: float(value) for key, value in values["metrics"].items()}
            return cls(int(values["step"]), float(values["time"]), metrics)
        except (TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"no record of metrics: {error!r}") from error

    def to_line(self) -> bytes:
        """One line of JSON."""
        metrics = {key: in_json(value) for key, value in self.metrics.items()}
        values = {"step": self.step, "time": self.time, "metrics": metrics}
        return json.dumps(values, allow_nan=False).encode() + b"\n"
