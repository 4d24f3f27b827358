"""docs/security.md: of everybody it says for each backend what they are kept from, by which tests, and what is left."""

import ast
import re

import pytest

from support.documents import ROOT

BACKENDS = {"local", "Slurm", "Kubernetes"}
PEOPLE = {
    "a colleague on the machine",
    "somebody in the same namespace or folder of runs",
    "the author of a pipeline",
    "the author of a dataset",
    "the author of a checkpoint",
    "a network neighbour",
}


def rows() -> list[list[str]]:
    """Cells of the table."""
    section = (ROOT / "docs" / "security.md").read_text().partition("## Who is kept from what")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_everybody_is_told_of_on_every_backend() -> None:
    told = [(row[0], backend) for row in rows() for backend in (BACKENDS if row[1] == "all" else {row[1]})]
    assert sorted(told) == sorted((who, backend) for who in PEOPLE for backend in BACKENDS)
    assert all(len(row) == 5 and all(row) for row in rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}, {row[1]}")
def test_what_is_defended_is_shown_by_tests_that_are_there(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[3])
    assert named and re.sub(r"`[^`]+`|, ", "", row[3]) == "", "a list of tests and nothing else"
    for reference in named:
        file, _, test = reference.partition("::")
        (path,) = [found for found in (ROOT / "tests").rglob(file) if f"def {test}(" in found.read_text()]
        assert test.startswith("test_") and test in {
            node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
        }
