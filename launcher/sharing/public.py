"""Texts of a run as a public page may show them: without secrets, and without where the run lay."""

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.snapshot.redaction import blanked
from locat.contract.names import one_line

PATH, URL = "PATH", "URL"
"""What stands for a path that means something on one machine alone, and for an address."""
_ADDRESS = re.compile(r"\b[A-Za-z][\w+.-]{0,30}://[^\s'\",\])}]*")
_START = r"(?:\.\./|~(?![0-9 ])|/(?=[^\s/]))"
_WHOLE = re.compile(rf"{_START}.*", re.DOTALL)
_QUOTED = re.compile(rf"(?P<quote>['\"]){_START}[^'\"]*(?P=quote)")
_LOCAL = re.compile(rf"(?:(?<![\w./]){_START}|(?<![\w./~-])[\w.~-][\w.~/-]*/\.\.(?=/))[^\s'\",\])}}]*")
"""Paths that are absolute, from a home folder, or lead out of one: a whole text, in quotes, or between words."""
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$])")
SHORTEST = 4
"""Characters of a home folder's path that is looked for in any text."""


@dataclass(frozen=True)
class Public:
    """Makes texts of one run fit to be seen by anybody."""

    plan: Plan
    homes: tuple[str, ...]
    """Of who made the run and of who shares it, the longest first."""

    @classmethod
    def of(cls, run: RunFolder, plan: Plan) -> "Public":
        found = {os.path.expanduser("~"), str(Path.cwd()), str(run.path.parent)}
        for uid in (os.geteuid(), run.path.stat().st_uid):
            try:
                found.add(pwd.getpwuid(uid).pw_dir)
            except KeyError:  # a user of another machine
                continue
        return cls(plan, tuple(sorted((home for home in found if len(home) >= SHORTEST), key=len, reverse=True)))

    def text(self, text: str) -> str:
        """One line, without secrets, addresses and paths; a path within the run is told from the run's folder on."""
        clean = blanked(text.encode(errors="surrogateescape"), self.plan.secrets).decode(errors="surrogateescape")
        clean = clean.replace(f"{self.plan.folder}/", "")
        if _WHOLE.fullmatch(clean):
            return PATH
        clean = _ADDRESS.sub(URL, clean)
        for home in self.homes:
            clean = re.sub(rf"{re.escape(home)}[^'\",\])}}]*", PATH, clean)
        clean = _QUOTED.sub(rf"\g<quote>{PATH}\g<quote>", clean)
        return one_line(_LOCAL.sub(PATH, clean), 2000)

    def setting(self, text: str) -> str:
        """The same of KEY=VALUE."""
        key, equals, value = text.partition("=")
        return f"{self.text(key)}{equals}{self.text(value)}"

    def value(self, value: Any) -> Any:
        """A value of a config, with every text in it made so."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.value(key): self.value(each) for key, each in value.items()}
            case Sequence():
                return [self.value(each) for each in value]
        return value

    def markdown(self, text: str) -> str:
        """The same, as text that Markdown and HTML leave as it is."""
        return _MARKUP.sub(lambda found: "&lt;" if found[0] == "<" else f"\\{found[0]}", self.text(text))

    def code(self, text: str) -> str:
        """The same, as a span of code within a line or a cell of a table."""
        clean = self.text(text).replace("`", "'").replace("|", "\\|")
        return f"`{clean}`"


def fenced(language: str, text: str) -> str:
    """A block of code that nothing in it ends."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
