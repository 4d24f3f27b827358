"""Which class the numbers and colours in a user's masks stand for, as the user lists them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from locat.contract.names import one_line

MOST = 254
"""Classes that a stored mask can tell apart; see `locat.data.datasets.masked_images`."""
LARGEST = 65_535
"""Of the numbers in a mask of 16 bits."""
UNLABELLED = 255
"""The number that is ignored wherever it is no class, as the field has it."""

COLOUR = re.compile(r"#([0-9a-fA-F]{6})")
LEVELS = re.compile(r"(\d{1,3})(?:\s*,\s*|\s+)(\d{1,3})(?:\s*,\s*|\s+)(\d{1,3})")
ENTRY = re.compile(r"(\d+|#\w+|\d+(?:\s*,\s*|\s+)\d+(?:\s*,\s*|\s+)\d+)\s*[:\t]\s*(.+)")

Listed = Sequence[str] | Mapping[str, str]
"""Names in the order of their numbers from 0 on, or a name for each number or each colour."""


@dataclass(frozen=True)
class MaskClasses:
    """Names of the classes, and which of them each number or colour in a mask is."""

    names: tuple[str, ...]
    labels: Mapping[int, int]
    """Number, or colour as 0xRRGGBB -> class."""
    ignored: frozenset[int]
    """Numbers or colours of pixels that do not count."""
    coloured: bool
    """Whether masks are read as colours."""


def number_classes(listed: Listed, ignore: Iterable[str] = (), reduce_zero_label: bool = False) -> MaskClasses:
    """The classes as they are listed; a name that is listed several times is one class.

    Raises:
        ValueError: a name or label is none, or they contradict each other; the message is one sentence.
    """
    given = _names(listed)
    names = list(dict.fromkeys(given))
    if not names:
        raise ValueError("classes: none is listed; list at least one")
    if len(names) > MOST:
        raise ValueError(f"classes: {len(names)} of them, where a mask can tell {MOST} apart; merge some")
    if isinstance(listed, Mapping):
        if reduce_zero_label:
            raise ValueError("reduce_zero_label: `classes` says which number each class has; remove one of the two")
        keys = _labels(listed, "classes")
        of_classes, coloured = _of_one_kind(keys)
        labels = {label: names.index(listed[key].strip()) for label, key in of_classes}
    else:
        if len(names) < len(given):
            twice = next(name for name in names if given.count(name) > 1)
            raise ValueError(
                f"classes: {one_line(twice)!r} is listed twice; to merge classes, map their numbers to names"
            )
        first = 1 if reduce_zero_label else 0
        labels, coloured = {first + number: number for number in range(len(names))}, False
    left_out = _labels(ignore, "ignore")
    if any(is_colour != coloured for *_, is_colour in left_out):
        kinds = ("colours", "numbers") if coloured else ("numbers", "colours")
        raise ValueError(f"ignore: {kinds[1]}, where the classes are told by {kinds[0]}; give both alike")
    ignored = {label for _, label, _ in left_out}
    if reduce_zero_label:
        ignored.add(0)
    if both := ignored & labels.keys():
        raise ValueError(f"ignore: {shown(min(both), coloured)} is a class as well; remove it from one of the two")
    if not coloured and UNLABELLED not in labels:
        ignored.add(UNLABELLED)
    return MaskClasses(tuple(names), labels, frozenset(ignored), coloured)


def label_of(text: str) -> tuple[int, bool]:
    """A number, or a colour as 0xRRGGBB, and whether it is a colour.

    Raises:
        ValueError: it is neither.
    """
    if match := COLOUR.fullmatch(text.strip()):
        return int(match[1], 16), True
    if match := LEVELS.fullmatch(text.strip()):
        red, green, blue = map(int, match.groups())
        if max(red, green, blue) <= 255:
            return red << 16 | green << 8 | blue, True
    elif text.strip().isdecimal() and int(text) <= LARGEST:
        return int(text), False
    raise ValueError(
        f"{one_line(text)!r} is neither a number from 0 to {LARGEST} nor a colour such as '#ff8000' or '255, 128, 0'"
    )


def shown(label: int, coloured: bool) -> str:
    """A number or a colour as messages and files have it."""
    return f"#{label:06x}" if coloured else str(label)


def read_list(text: str) -> Listed:
    """The classes in a text file: a name per line, or `number: name` or `colour: name` in each.

    Raises:
        ValueError: it holds something else; names the line.
    """
    lines = [line.strip() for line in text.rstrip().splitlines()]
    entries = [ENTRY.fullmatch(line) for line in lines]
    if not any(entries):
        if "" in lines:
            raise ValueError(f"line {lines.index('') + 1} is empty; write one class per line")
        return lines
    listed: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        if entry is None:
            raise ValueError(f"line {number} has no `number: name` or `colour: name`, as others do; give each line one")
        if entry[1] in listed:
            raise ValueError(f"line {number} names {entry[1]} again; remove one of the two")
        listed[entry[1]] = entry[2]
    return listed


def _names(listed: Listed) -> list[str]:
    names = list(listed.values() if isinstance(listed, Mapping) else listed)
    for name in names:
        if not name.strip():
            raise ValueError(f"classes: {one_line(repr(name))} is no name; give each class one")
    return [name.strip() for name in names]


def _labels(texts: Iterable[str], key: str) -> list[tuple[str, int, bool]]:
    """Of each text under `key` the label, and whether that is a colour."""
    try:
        return [(text, *label_of(text)) for text in texts]
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _of_one_kind(keys: Sequence[tuple[str, int, bool]]) -> tuple[list[tuple[int, str]], bool]:
    """Labels with the text that they were given as, each once, and whether they are colours."""
    kinds = {is_colour for *_, is_colour in keys}
    if len(kinds) > 1:
        raise ValueError("classes: numbers and colours are mixed; masks are read as one of the two")
    found: dict[int, str] = {}
    for text, label, _ in keys:
        if label in found:
            raise ValueError(f"classes: {one_line(found[label])!r} and {one_line(text)!r} are the same; keep one")
        found[label] = text
    return list(found.items()), kinds.pop()
