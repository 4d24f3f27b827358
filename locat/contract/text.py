"""Text that goes to a terminal or a log, whatever is in it: names of files may be any bytes, and who wrote a log or a
reason may mean to command the terminal of who reads it. No text ends a process."""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that command a terminal, reorder what it shows, or are none in UTF-8; not tab and line feed."""


def printable(text: str) -> str:
    r"""`text` with what a terminal must not get escaped: ESC as `\x1b`, a byte of a name that is no UTF-8 as `\xe9`."""
    return _UNPRINTABLE.sub(_escaped, text)


def last_line(log: Path) -> str:
    """The last line of a log that says something: torchrun's report ends with a ruler."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if any(map(str.isalnum, line))), "")


def speak() -> None:
    """Have this process's streams escape what they cannot hold, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may have been closed, or replaced by a test's
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="backslashreplace")


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if 0xDC80 <= number <= 0xDCFF:  # as Python keeps a byte that it could not decode
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
