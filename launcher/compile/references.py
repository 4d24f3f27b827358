"""References in a job's config: `${matrix.AXIS}`, `${matrix.AXIS.KEY}` and `${jobs.NAME.outputs.KEY}`.

A value that is nothing but a reference becomes what is referred to, type kept; inside text it is
formatted. `$${` stands for `${`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from launcher.compile.combinations import Report
from locat.contract.problems import KeyPath, known_words, shown

_TOKEN = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<reference>[^{}]*)\}|\$\{")

Lookup = Callable[[str], Any]
"""From what stands in the braces to its value; raises BadReference."""


class BadReference(Exception):
    """A reference that leads nowhere; the message says why."""


class ReferenceList(list[Any]):
    """What a reference to several instances becomes; a list it stands in takes its items, not itself."""


def resolve(value: Any, lookup: Lookup, path: KeyPath, report: Report) -> Any:
    """`value` with every reference in it followed; those that lead nowhere are reported and stay."""
    if isinstance(value, dict):
        return {key: resolve(child, lookup, (*path, key), report) for key, child in value.items()}
    if isinstance(value, list):
        items: list[Any] = []
        for position, child in enumerate(value):
            item = resolve(child, lookup, (*path, position), report)
            if isinstance(item, ReferenceList):
                items.extend(item)
            else:
                items.append(item)
        return items
    if isinstance(value, str) and "${" in value:
        whole = _TOKEN.fullmatch(value)
        try:
            if whole and whole["reference"] is not None:
                return lookup(whole["reference"].strip())
            return formatted(value, lookup)
        except BadReference as problem:
            report(path, str(problem))
    return value


def formatted(text: str, lookup: Lookup) -> str:
    """`text` with every reference in it formatted.

    Raises:
        BadReference: one that leads nowhere, or to what is not a single value.
    """

    def replacement(token: re.Match[str]) -> str:
        if token["escaped"]:
            return "${"
        if token["reference"] is None:
            raise BadReference("'${' without its '}'; write $${ for the text itself")
        value = lookup(token["reference"].strip())
        if isinstance(value, dict | list):
            raise BadReference(f"{token[0]} is {shown(value)}; inside text only a single value can stand")
        return value if isinstance(value, str) else shown(value)

    return _TOKEN.sub(replacement, text)


def of_matrix(matrix: Mapping[str, Any], axis: str, keys: list[str]) -> Any:
    """The value at `${matrix.AXIS.KEY...}`.

    Raises:
        BadReference: no such axis or key.
    """
    if not matrix:
        raise BadReference(f"this job has no matrix, so no ${{matrix.{axis}}}")
    if axis not in matrix:
        raise BadReference(f"the matrix has no axis {axis!r}{known_words(axis, matrix)}")
    value, walked = matrix[axis], f"matrix.{axis}"
    for key in keys:
        if not isinstance(value, dict):
            raise BadReference(f"{walked} is {shown(value)} here and has no key {key!r}")
        if key not in value:
            raise BadReference(f"{walked} has no key {key!r}{known_words(key, value)}")
        value, walked = value[key], f"{walked}.{key}"
    return value
