"""`include`: a pipeline file put over others, each value with its place in the file it was written in."""

from pathlib import Path
from typing import Any

from locat.contract import yaml_source
from locat.contract.problems import KeyPath, PipelineError, shown
from locat.contract.yaml_source import Source

MAX_DEPTH = 8
"""Files that include one another."""


def read(path: Path, including: tuple[Path, ...] = ()) -> Source:
    """The file at `path` over those it includes.

    Raises:
        PipelineError: one of them cannot be read, or they include each other in a circle.
    """
    source = yaml_source.read(path)
    names = source.values.get("include", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list):
        raise _wrong(source, ("include",), f"expected a path or a list of paths, got {shown(names)}")
    known = (*including, path.resolve())
    base: Source | None = None
    for position, name in enumerate(names):
        where: KeyPath = ("include", position) if isinstance(source.values["include"], list) else ("include",)
        if not isinstance(name, str) or not name:
            raise _wrong(source, where, f"expected a path, got {shown(name)}")
        other = path.parent / name
        if not other.is_file():
            raise _wrong(source, where, f"no such file: {name}; paths are from the folder of this file")
        if other.resolve() in known or len(known) > MAX_DEPTH:
            raise _wrong(source, where, f"{name} includes this file in turn; remove one of the two")
        below = read(other, known)
        base = below if base is None else _over(base, below)
    return source if base is None else _over(base, source)


def _wrong(source: Source, path: KeyPath, message: str) -> PipelineError:
    return PipelineError([source.problem(path, message)])


def _over(base: Source, top: Source) -> Source:
    """`top` over `base`: mappings are merged, anything else is replaced."""
    places = {**base.places}
    values = _merged(base.values, top.values, (), places)
    places.update(top.places)
    return Source(values, places, top.data)


def _merged(base: Any, top: Any, path: KeyPath, places: dict[KeyPath, Any]) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        inner = {key: _merged(base[key], value, (*path, key), places) for key, value in top.items() if key in base}
        return {**base, **{key: inner.get(key, value) for key, value in top.items()}}
    for replaced in [place for place in places if place[: len(path)] == path]:
        del places[replaced]
    return top
