"""The language's reference is written from its schema."""

import re
from pathlib import Path

from launcher.language import reference_page
from locat.config import TASKS

DOCUMENT = Path(__file__).parents[3] / "docs/pipeline-reference.md"


def test_the_reference_is_current() -> None:
    assert DOCUMENT.read_text() == reference_page.text(), f"python -m launcher.language.reference_page > {DOCUMENT}"


def test_every_key_of_the_language_has_its_meaning() -> None:
    language, _, tasks = reference_page.text().partition("\n# Tasks\n")
    rows = [line.split(" | ") for line in language.splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert all(row[-1].strip(" |") for row in rows)
    assert all(f"\n## {task}\n" in tasks for task in TASKS.built_in)


def test_what_a_key_refers_to_is_in_the_document() -> None:
    document = reference_page.text()
    sections = {re.sub("[^a-z0-9_-]", "", line[3:].lower()) for line in document.splitlines() if line[:3] == "## "}
    assert {link for link in re.findall(r"\(#(.*?)\)", document)} <= sections
