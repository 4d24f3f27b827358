"""Configs by dotted keys: what MLflow's parameters and the columns of `launcher compare` are called."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings; one whose keys are no names, but numbers of classes, is a value."""
    for key, value in config.items():
        if isinstance(value, Mapping) and all(map(str.isidentifier, value)):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
