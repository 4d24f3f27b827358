"""What is wrong with a file of YAML: every problem with its place, the key's path and the remedy, one a line."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from locat.contract.errors import UserError

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the root of a file to one of its values."""

MOST_SHOWN = 20
"""Problems listed in one message; the rest are counted."""


class Place(NamedTuple):
    """Where a user wrote something: in a file, or (without a line) on the command line."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One thing to mend."""

    place: Place
    path: KeyPath
    message: str

    def __str__(self) -> str:
        key = f"{dotted(self.path)}: " if self.path else ""
        return f"{self.place}: {key}{self.message}"


class PipelineError(UserError):
    """A pipeline, or the config of a job, is not valid. One line a problem, in the order they stand in the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.place[1:]))
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            lines.append(f"... and {len(self.problems) - MOST_SHOWN} more")
        super().__init__("\n".join(lines))

    @classmethod
    def at(cls, place: Place, path: KeyPath, message: str) -> "PipelineError":
        """The error that has one problem."""
        return cls([Problem(place, path, message)])


def dotted(path: KeyPath) -> str:
    """A key's path as it is shown, and as `--set` takes it: `jobs.segment.needs.0`."""
    return ".".join(map(str, path))


def shown(value: object) -> str:
    """A value from YAML, short enough for a message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The end of a message that names the nearest known word, if one is near."""
    nearest = difflib.get_close_matches(str(word)[:80], list(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def known_words(word: object, known: Iterable[str]) -> str:
    """The same, or else all known words while they are few."""
    words = list(known)
    return did_you_mean(word, words) or (f"; known: {', '.join(words)}" if 0 < len(words) <= 12 else "")
