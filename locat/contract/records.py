"""Files that one process writes and another reads, perhaps of another version.

Each holds one JSON object: the fields of a frozen dataclass, and `format`, a number that grows when the meaning of a
field changes. Files from before these numbers are of format 1. A reader ignores keys that it does not know, so a new
field with a default needs no new number. What a reader does with a newer format depends on the file: what is only
shown is read as far as it is understood; what decides about a run or its weights is refused by `check_format`.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from locat.contract.errors import UserError

T = TypeVar("T")


class FormatError(UserError):
    """A file is of a newer format than this version reads, or holds something else than it should."""


def numbered(values: dict[str, Any], number: int) -> dict[str, Any]:
    """What a file of this format holds: its number, then `values`."""
    return {"format": number, **values}


def check_format(values: dict[str, Any], newest: int, file: Path | str) -> int:
    """The format of a file that holds `values`.

    Raises:
        FormatError: it is above `newest`; names the file and the remedy.
    """
    number = values.get("format", 1)
    if not isinstance(number, int) or number > newest:
        raise FormatError(
            f"{file}: is of format {number}, and this version reads up to format {newest};"
            " install the version that wrote it, or a newer one"
        )
    return number


@contextlib.contextmanager
def intact(file: Path | str) -> Iterator[None]:
    """While a file that anybody may have written is read.

    Raises:
        FormatError: it holds something else than it should, or may not be read.
    """
    try:
        yield
    except (
        *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
        *(PermissionError, IsADirectoryError, NotADirectoryError),
    ) as error:
        raise FormatError(f"{file}: cannot be read ({error!r}); restore it, or remove its run") from error


def known(kind: type[T], values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that are fields of a dataclass."""
    fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if name in fields}


def built(kind: type[T], values: dict[str, Any]) -> T:
    """The dataclass that `values` describe.

    Raises:
        ValueError: a field without a default is missing.
    """
    try:
        return kind(**known(kind, values))
    except TypeError as error:
        raise ValueError(str(error)) from error


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else, such as the first half of one.
    """
    values = json.loads(file.read_text())
    if not isinstance(values, dict):
        raise ValueError(f"{file}: not a JSON object")
    return values
