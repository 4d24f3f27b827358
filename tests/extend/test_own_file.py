"""docs/extend/plugins.md, followed from an empty folder: a task and a model of one file."""

import re
from pathlib import Path

import pytest

from support.documents import ROOT, blocks, shell_commands
from support.extending import follow, outsider, shown_code

PAGE = ROOT / "docs/extend/plugins.md"
EXAMPLE = ROOT / "examples/own_file"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_does_what_the_reader_expects(tmp_path: Path) -> None:
    reader = outsider(tmp_path)
    said = follow(reader, shell_commands(PAGE))
    assert said["launcher validate own_file/nano.yaml"] == "own_file/nano.yaml: valid, 1 jobs\n"
    assert said["launcher validate --no-plugins own_file/nano.yaml"] == said["launcher validate own_file/nano.yaml"]
    printed = re.search(r"`logs` ends with `(.*)`", PAGE.read_text())
    assert printed and said["launcher logs"].endswith(f"{printed[1]}\n")
    note = next(block for language, block in blocks(PAGE.read_text()) if block.startswith("note: "))
    told = reader.does("launcher validate own_file/nano.yaml 2>&1")
    assert told.startswith(note.replace("/home/you", str(tmp_path)))
    copy = reader.run().code_folder()
    assert copy and (copy / "nano.py").read_text() == (EXAMPLE / "nano.py").read_text()


def test_what_the_page_shows_is_in_the_example() -> None:
    assert shown_code(PAGE, EXAMPLE) == []
