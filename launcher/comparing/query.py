"""`--where` and `--sort`: conditions of the form `key<op>value`, and nothing that runs."""

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from locat.contract.errors import UserError
from locat.contract.problems import shown

_CONDITION = re.compile(
    r"""\s*(?P<key>[^\s<>=!~,"']+)\s*(?P<op><=|>=|!=|=|<|>|~)"""
    r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s<>=!~,"']+))\s*(?:,|$|(?=\s))"""
)
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """What a row must be like."""

    key: str
    op: str
    """`=`, `!=`, `<`, `<=`, `>`, `>=`, or `~`: contains."""
    value: str

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is like that; one that has no such value is only `!=`."""
        if self.key not in row:
            return self.op == "!="
        said = as_text(row[self.key])
        number, other = as_number(self.value), as_number(said)
        if self.op == "~":
            return self.value in said
        if self.op in _ORDERS:
            return number is not None and other is not None and _ORDERS[self.op](other, number)
        is_same = said == self.value if number is None or other is None else number == other
        return is_same == (self.op == "=")


def parse(text: str) -> Iterator[Condition]:
    """The conditions in `key<op>value key<op>value`; all must hold.

    Raises:
        UserError: there is something else in it.
    """
    text = text.strip()
    position = 0
    while position < max(1, len(text)):
        found = _CONDITION.match(text, position)
        if found is None:
            raise UserError(
                f"--where: expected KEY<OP>VALUE such as 'optimizer.lr>=0.001 model.name=vit', with one of"
                f" = != < <= > >= ~ (contains) for <OP>, got {shown(text[position:])}"
            )
        condition = Condition(found["key"], found["op"], found["double"] or found["single"] or found["bare"] or "")
        if condition.op in _ORDERS and as_number(condition.value) is None:
            raise UserError(f"--where: {condition.op} compares numbers, and {shown(condition.value)} is none")
        yield condition
        position = found.end()


def in_order(rows: Iterable[Mapping[str, Any]], key: str, is_descending: bool) -> list[Mapping[str, Any]]:
    """The rows by their value of `key`, numbers before texts; those that have none, or NaN, come last either way."""
    known = list(rows)
    having = [row for row in known if key in row and row[key] == row[key]]
    missing = [row for row in known if not (key in row and row[key] == row[key])]
    return [*sorted(having, key=lambda row: _place(row[key]), reverse=is_descending), *missing]


def _place(value: Any) -> tuple[bool, float, str]:
    number = as_number(as_text(value))
    return (True, 0.0, as_text(value)) if number is None or math.isnan(number) else (False, number, "")


def as_text(value: Any) -> str:
    """A value as conditions and tables have it: as in YAML."""
    match value:
        case str():
            return value
        case int() | float() if not isinstance(value, bool):
            return str(value)
    return json.dumps(value)


def as_number(text: str) -> float | None:
    """The number that a text is, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None
