"""Somebody who follows a page of docs/extend/ from an empty folder, the project beside it."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

from support.documents import ROOT, blocks
from support.reader import Reader


def outsider(folder: Path) -> Reader:
    """A reader whose packages are installed into a folder of their own, without a network."""
    (folder / "locat").symlink_to(ROOT)
    reader = Reader.with_files(folder)
    packages = folder / "packages"
    reader.environment.update(
        PIP_TARGET=str(packages),
        PIP_NO_INDEX="1",
        PYTHONPATH=os.pathsep.join([str(packages), str(ROOT)]),
        OMP_NUM_THREADS="1",
    )
    return reader


def follow(reader: Reader, commands: Sequence[str]) -> dict[str, str]:
    """Run the commands in their order; command -> what it prints."""
    return {command: reader.does(reader.filled(command)) for command in commands}


def shown_code(page: Path, example: Path) -> list[str]:
    """Blocks of code on the page that stand in no file of the example as they are shown."""
    files = [path.read_text() for path in example.rglob("*") if path.suffix in (".py", ".toml", ".yaml")]
    shown = [block for language, block in blocks(page.read_text()) if language in ("python", "toml", "yaml")]
    assert len(shown) > 1
    return [block for block in shown if not any(_is_in(text, block) for text in files)]


def _is_in(text: str, block: str) -> bool:
    """Whether a text has a block, however far that is indented there."""
    return any(textwrap.indent(block, " " * by).strip() in text for by in range(0, 12, 2))
