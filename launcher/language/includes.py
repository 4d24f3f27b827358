"""`include`: a pipeline file put over others, each value with its place in the file it was written in."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from locat.contract import yaml_source
from locat.contract.problems import KeyPath, PipelineError, shown
from locat.contract.submission import Submission
from locat.contract.yaml_source import Source
from locat.contract.yaml_text import to_yaml

VALUES = "<pipeline>"
"""What places call a pipeline that is no file."""
MAX_DEPTH = 8
"""Files that include one another."""
MAX_READS = 100
"""Files that are read for one pipeline, each as often as it is included."""


def read(path: Path) -> Source:
    """The file at `path` over those it includes.

    Raises:
        PipelineError: one of them cannot be read, they are too many, or they include each other in a circle.
    """
    return _read(path, (), count(1))


def of_values(values: Mapping[str, Any]) -> Source:
    """A pipeline that Python made, over the files it includes; relative paths are from the current folder.

    Raises:
        PipelineError: as for a file; places are those in the values written as YAML.
    """
    text = to_yaml(dict(values))
    source = replace(yaml_source.parse(text, VALUES), data=text.encode(), folder=Path.cwd())
    return _over_included(source, Path(), (), count(1))


def _read(path: Path, including: tuple[Path, ...], reads: "count[int]") -> Source:
    folder, elsewhere = _folders(path)
    source = replace(yaml_source.read(path), folder=folder, elsewhere=elsewhere)
    below = path.parent if folder == path.absolute().parent else folder
    return _over_included(source, below, (*including, path.resolve()), reads)


def _over_included(source: Source, folder: Path, known: tuple[Path, ...], reads: "count[int]") -> Source:
    """A source over the files it includes, whose paths are from `folder`; `known` includes them, and is it."""
    names = source.values.get("include", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list):
        raise _wrong(source, ("include",), f"expected a path or a list of paths, got {shown(names)}")
    base: Source | None = None
    for position, name in enumerate(names):
        where: KeyPath = ("include", position) if isinstance(source.values["include"], list) else ("include",)
        if not isinstance(name, str) or not name:
            raise _wrong(source, where, f"expected a path, got {shown(name)}")
        other = folder / name
        if not other.is_file():
            raise _wrong(source, where, f"no such file: {name}; paths are from the folder of this file")
        if other.resolve() in known or len(known) > MAX_DEPTH:
            raise _wrong(source, where, f"{name} includes this file in turn; remove one of the two")
        if next(reads) > MAX_READS:
            raise _wrong(source, where, f"more than {MAX_READS} files are included; name each of them once")
        below = _read(other, known, reads)
        base = below if base is None else _over(base, below)
    return source if base is None else _over(base, source)


def _folders(path: Path) -> tuple[Path, dict[KeyPath, Path]]:
    """Where relative paths in a file are from, and those of its keys that are from elsewhere.

    The file's own folder; the shell's for what comes through a pipe. A run's pipeline.yaml is a copy.
    """
    path = path.absolute()
    kept = Submission.read(path.parent) if path.name == "pipeline.yaml" else None
    if kept is not None and kept.folder:
        return Path(kept.folder), {keys: Path(folder) for keys, folder in kept.elsewhere}
    return (Path.cwd() if path.parts[1:2] in (("dev",), ("proc",)) else path.parent), {}


def _wrong(source: Source, path: KeyPath, message: str) -> PipelineError:
    return PipelineError([source.problem(path, message)])


def _over(base: Source, top: Source) -> Source:
    """`top` over `base`: mappings are merged, anything else is replaced."""
    places = {**base.places}
    values = _merged(base.values, top.values, (), places)
    elsewhere = {path: base.folder_of(path) for path in places if path not in top.places}
    places.update(top.places)
    whole = to_yaml({key: value for key, value in values.items() if key != "include"})
    return Source(
        values,
        places,
        whole.encode(),
        top.folder,
        {**top.elsewhere, **{path: folder for path, folder in elsewhere.items() if folder and folder != top.folder}},
    )


def _merged(base: Any, top: Any, path: KeyPath, places: dict[KeyPath, Any]) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        inner = {key: _merged(base[key], value, (*path, key), places) for key, value in top.items() if key in base}
        return {**base, **{key: inner.get(key, value) for key, value in top.items()}}
    for replaced in [place for place in places if place[: len(path)] == path]:
        del places[replaced]
    return top
