"""Which combinations of a matrix there are: the product of its axes, less `exclude`, and `include`."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from locat.contract.problems import KeyPath, known_words, shown

Report = Callable[[KeyPath, str], None]
"""Takes a problem: the key's path and what is wrong with it."""
Axes = Mapping[str, Sequence[Any]]
"""Axis -> values; `include` and `exclude` -> combinations."""
Combination = dict[str, tuple[str, Any]]
"""Axis -> what its value is called, and the value."""


def combinations(path: KeyPath, matrix: Axes, report: Report) -> list[Combination]:
    """The combinations of the matrix at `path`, in order; none if something is reported to be wrong."""
    axes = {axis: values for axis, values in matrix.items() if axis not in ("include", "exclude")}
    named = {axis: _named((*path, axis), values, report) for axis, values in axes.items()}
    if not all(named.values()):
        return []
    product: list[Combination] = [
        dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*(named[axis].items() for axis in axes))
    ]
    if not axes and "include" in matrix:
        product = []
    valid = True
    for position, entry in enumerate(matrix.get("exclude", ())):
        left, problem = _without(product, entry, named)
        if problem:
            report((*path, "exclude", position), problem)
        product, valid = left, valid and not problem
    known = list(axes)
    for position, entry in enumerate(matrix.get("include", ())):
        known = known or list(entry if isinstance(entry, dict) else ())
        combination, problem = _included(entry, known, product)
        if problem:
            report((*path, "include", position), problem)
        product, valid = [*product, combination], valid and not problem
    if valid and not product:
        report((*path, "exclude"), "nothing is left; remove an entry")
    return product if valid else []


def _named(path: KeyPath, values: Sequence[Any], report: Report) -> dict[str, Any]:
    """The values of one axis by what they are called in job names; nothing if one is reported to be wrong."""
    named: dict[str, Any] = {}
    valid = True
    for position, value in enumerate(values):
        slug, problem = _slug(value)
        if not problem and slug in named:
            problem = f"called {slug!r} like a value before it; use another, or a mapping with its own `name`"
        if problem:
            report((*path, position), problem)
            valid = False
        named[slug] = value
    return named if valid else {}


def _without(
    product: list[Combination], entry: Any, named: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Combination], str]:
    if not isinstance(entry, dict) or not entry:
        return product, f"expected a mapping of axes to values, got {shown(entry)}"
    slugs = {}
    for axis, value in entry.items():
        if axis not in named:
            return product, f"the matrix has no axis {axis!r}{known_words(axis, named)}"
        slugs[axis], problem = _slug(value)
        if problem:
            return product, problem
        if slugs[axis] not in named[axis]:
            return product, f"{axis} has no value {shown(value)}{known_words(slugs[axis], named[axis])}"
    left = [each for each in product if any(each[axis][0] != slug for axis, slug in slugs.items())]
    return left, "" if len(left) < len(product) else "excludes nothing; remove it"


def _included(entry: Any, axes: list[str], product: list[Combination]) -> tuple[Combination, str]:
    if not isinstance(entry, dict) or not entry:
        return {}, f"expected a mapping of every axis to a value, got {shown(entry)}"
    for axis in entry:
        if axis not in axes:
            return {}, f"the matrix has no axis {axis!r}{known_words(axis, axes)}"
    combination: Combination = {}
    for axis in axes:
        if axis not in entry:
            return {}, f"has no value of {axis!r}; give one of every axis"
        slug, problem = _slug(entry[axis])
        if problem:
            return {}, problem
        like = next((each[axis][1] for each in product if each and each[axis][0] == slug), entry[axis])
        if like != entry[axis]:
            return {}, f"{shown(entry[axis])} is called {slug!r} like another value of {axis}; give it its own `name`"
        combination[axis] = slug, entry[axis]
    return combination, "is there already; remove it" if combination in product else ""


def _slug(value: Any) -> tuple[str, str]:
    """The name of a matrix value, or else what is wrong with it."""
    called = value.get("name") if isinstance(value, dict) else value
    if isinstance(value, dict) and not isinstance(called, str):
        return "", "a mapping in a matrix needs a `name`, a text that tells it from the others"
    if isinstance(called, list):
        return "", f"expected a single value or a mapping with a `name`, got {shown(called)}"
    if "${" in str(value):
        return "", "a matrix takes no references; refer to it from `config`"
    text = called if isinstance(called, str) else shown(called)
    slug = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")
    return slug, "" if slug else f"no name can be made of {shown(called)}; use letters or digits"
