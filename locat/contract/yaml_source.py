"""YAML text -> values, each with the place it was written at: the project's only YAML parser.

Scalars follow YAML 1.2 (`1e-3` is a number, `no` a word). The events of PyYAML's safe parser are
composed here, not by its own composer: that gives places, bounds what aliases and nesting may
cost, and refuses every tag, so that text can only ever become plain values.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from locat.contract.problems import KeyPath, PipelineError, Place, Problem, did_you_mean, shown

MAX_BYTES = 1 << 20
"""Of a file that people write."""
MAX_NODES = 100_000
"""Values in one file once its aliases are expanded."""
MAX_DEPTH = 48

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Source:
    """Plain values and where each was written."""

    values: Any
    places: dict[KeyPath, Place]
    """Of each key and list item; () is the document."""
    data: bytes = b""
    """The file as it was read; of one that includes others, all of them put together. Empty for mere text."""
    folder: Path | None = None
    """Absolute; relative paths are from there. None for mere text."""
    elsewhere: Mapping[KeyPath, Path] = field(default_factory=dict)
    """Of keys that come from a file of another folder: that folder."""

    def known(self, path: KeyPath) -> KeyPath:
        """The longest beginning of `path` that was written somewhere."""
        while path not in self.places:
            path = path[:-1]
        return path

    def folder_of(self, path: KeyPath) -> Path | None:
        """Where a relative path at `path` is from: the folder of the file that it was written in."""
        return self.elsewhere.get(self.known(path), self.folder)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem with the key at `path`; placed at its parent where the key itself is missing."""
        return Problem(self.places[self.known(path)], path, message)


def read(path: Path, most: int = MAX_BYTES) -> Source:
    """The mapping in the file at `path`, which is opened and read once: it may be a pipe.

    Args:
        most: bytes that it may have.

    Raises:
        PipelineError: it cannot be read, or `parse` refuses its text.
    """
    file = Place(str(path))
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except FileNotFoundError:
        others = [str(other) for other in path.parent.glob("*.y*ml")]
        raise PipelineError.at(file, (), f"no such file{did_you_mean(path, others)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PipelineError.at(file, (), f"cannot be read: {reason}") from None
    if len(data) > most:
        raise PipelineError.at(file, (), f"larger than {most >> 20} MiB; a pipeline file is small")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(str(path), before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise PipelineError.at(place, (), "not UTF-8 text; save the file as UTF-8") from None
    source = parse(text, str(path))
    if not isinstance(source.values, dict):
        place = source.places[()]
        raise PipelineError.at(place, (), "expected a mapping: name, jobs, ... as `key: value` lines")
    return replace(source, data=data)


def parse(text: str, name: str) -> Source:
    """The values of one YAML document; `name` is what places call it.

    Raises:
        PipelineError: not YAML, or YAML that has no meaning here (tags, duplicate keys, ...).
    """
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        place = Place(name, line, unprintable.start() - text.rfind("\n", 0, unprintable.start()))
        raise PipelineError.at(place, (), f"unprintable character U+{ord(unprintable[0]):04X}; remove it")
    try:
        return _Expansion(_Composer(text, name).document()).source()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from None
    except (yaml.YAMLError, ValueError) as error:  # pure-Python PyYAML lets chr()'s ValueError through
        raise PipelineError.at(Place(name), (), f"not valid YAML: {error}") from None


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> PipelineError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return PipelineError.at(Place(name), (), f"not valid YAML: {error.problem}")
    place = Place(name, mark.line + 1, mark.column + 1)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if re.match(r" *\t", line) or line[mark.column : mark.column + 1] == "\t":
        return PipelineError.at(place, (), "a tab cannot indent YAML; use spaces")
    message = f"not valid YAML: {error.problem}" + (f" ({error.context})" if error.context else "")
    if "mapping values are not allowed" in message:
        message += "; quote a value that contains ': '"
    elif re.search(r"[\[{,].*\$\{", line):
        message += "; quote a value with '${...}' inside [ ] or { }"
    return PipelineError.at(place, (), message)


def is_text(scalar: str) -> bool:
    """Whether this scalar, without quotes, is read as the text that it is."""
    numbers = (_INTEGER, _FLOAT, _NOT_FINITE)
    return scalar not in _CONSTANTS and not any(number.fullmatch(scalar) for number in numbers)


@dataclass
class _Node:
    """A value as written: of a mapping each key with its place; aliases share one node."""

    place: Place
    value: Any = None
    open: bool = True
    """Still being composed: an alias to it would contain itself."""


class _Composer:
    """Parser events -> nodes."""

    def __init__(self, text: str, name: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=Loader)
        self._name = name
        self._anchors: dict[str, _Node] = {}

    def document(self) -> _Node:
        next(self._events)
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise PipelineError.at(Place(self._name), (), "empty; nothing is written in it")
        root = self._node(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._fail(after, (), "a second document begins here; write one pipeline a file")
        return root

    def _fail(self, event: Any, path: KeyPath, message: str) -> NoReturn:
        raise PipelineError.at(self._place(event), path, message)

    def _place(self, event: Any) -> Place:
        return Place(self._name, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, path: KeyPath) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._fail(event, path, f"the tag {tag!r} is not allowed; write a plain value, quoted if it is text")
        if len(path) > MAX_DEPTH:
            self._fail(event, path[:8], f"nested more than {MAX_DEPTH} deep")
        node = _Node(self._place(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(event, yaml.MappingStartEvent):
            node.value = self._mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = self._sequence(path)
        else:
            node.value = self._scalar(event, path)
        node.open = False
        return node

    def _alias(self, event: Any, path: KeyPath) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            hint = did_you_mean(event.anchor, self._anchors)
            self._fail(event, path, f"no anchor '&{event.anchor}' before this alias{hint}")
        if node.open:
            self._fail(event, path, f"the alias '*{event.anchor}' stands inside what it names")
        return node

    def _mapping(self, path: KeyPath) -> dict[str, tuple[Place, _Node]]:
        entries: dict[str, tuple[Place, _Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, path).value
            if type(key) is int:  # such as the number of a class
                key = str(key)
            if not isinstance(key, str):
                self._fail(event, path, f"the key {shown(key)} is not text; quote it")
            if key == "<<":
                self._fail(event, path, "the merge key '<<' is not YAML 1.2; write the keys out, or use `defaults`")
            if key in entries:
                self._fail(event, (*path, key), f"duplicate key; it is already in line {entries[key][0].line}")
            entries[key] = (self._place(event), self._node(next(self._events), (*path, key)))
        return entries

    def _sequence(self, path: KeyPath) -> list[_Node]:
        items: list[_Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        text: str = event.value
        if _UNPRINTABLE.search(text):
            self._fail(event, path, "an escape stands for an unprintable character; remove it")
        if not event.implicit[0]:  # quoted, or a block
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            number = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) <= 20 else 1 << 64
            if number.bit_length() >= 64:
                self._fail(event, path, "an integer beyond 64 bits; quote it if it is text")
            return number
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            self._fail(event, path, f"{text[:20]} is not a finite number; quote it if it is text")
        return text


@dataclass
class _Expansion:
    """Nodes -> a source, every alias a copy of its own."""

    root: _Node
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def source(self) -> Source:
        return Source(self._value(self.root, (), self.root.place), self.places)

    def _value(self, node: _Node, path: KeyPath, place: Place) -> Any:
        if len(self.places) >= MAX_NODES or len(path) > MAX_DEPTH:
            limit = f"more than {MAX_NODES:,} values or {MAX_DEPTH} levels; use fewer aliases"
            raise PipelineError.at(place, path[:8], limit)
        self.places[path] = place
        if isinstance(node.value, dict):
            return {key: self._value(child, (*path, key), at) for key, (at, child) in node.value.items()}
        if isinstance(node.value, list):
            return [self._value(child, (*path, i), child.place) for i, child in enumerate(node.value)]
        return node.value
