"""The numbers that a program leaves in a JSON file: checked as what comes from outside."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locat.contract.errors import DataError
from locat.contract.names import one_line

MAX_BYTES = 1 << 20
MOST = 1000
"""Metrics of one file."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/ -]{0,99}")
RESERVED = "model"
"""The column of a comparison that names its rows."""
UNKNOWN = "(dataset unknown)"


@dataclass(frozen=True)
class Numbers:
    """What a file says: `{name: number}`, or `{"metrics": {name: number}, "model": ..., "dataset": ...}`."""

    metrics: dict[str, float]
    model: str
    """Whose numbers they are: comparisons take those of one model together."""
    dataset: str

    @classmethod
    def read(cls, file: Path, model: str) -> "Numbers":
        """The numbers in `file`; `model` is whose they are where the file does not say.

        Raises:
            DataError: it is not such a file; names it and what is wrong.
        """
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DataError(f"{file}: more than {MAX_BYTES >> 20} MiB; a file of metrics holds numbers alone")
        try:
            values = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}: not JSON: {one_line(error)}") from error
        if not isinstance(values, dict):
            raise DataError(f"{file}: expected an object of names and numbers, {{...}}")
        whole = values if isinstance(values.get("metrics"), dict) else {"metrics": values}
        return cls(
            {name: _number(file, name, value) for name, value in _few(file, whole["metrics"]).items()},
            _text(file, whole, "model", model),
            _text(file, whole, "dataset", UNKNOWN),
        )


def _few(file: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    if not 0 < len(metrics) <= MOST:
        raise DataError(f"{file}: {len(metrics)} metrics; expected 1 to {MOST}")
    return metrics


def _number(file: Path, name: str, value: Any) -> float:
    if not NAME.fullmatch(name) or name == RESERVED:
        raise DataError(
            f"{file}: {one_line(name)!r} cannot be the name of a metric: letters, digits, '_.:/ -', at most 100"
            f" characters, and not {RESERVED!r}"
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
    raise DataError(f"{file}: {name!r} is {one_line(json.dumps(value))}; expected a finite number")


def _text(file: Path, values: dict[str, Any], key: str, otherwise: str) -> str:
    value = values.get(key, otherwise)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{file}: {key!r} is {one_line(json.dumps(value))}; expected text")
    return one_line(value)
