"""The two packages and what stands between them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = {"locat.config", "locat.job_folder", "locat.durable", "locat.errors", "locat.published"}


def imports(file: Path) -> set[str]:
    """Modules of the project that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {name for name in found if name.split(".")[0] in {"launcher", "locat"}}


@pytest.mark.parametrize("file", sorted((ROOT / "locat").rglob("*.py")), ids=lambda file: file.name)
def test_a_job_never_imports_the_launcher(file: Path) -> None:
    assert not {name for name in imports(file) if name.split(".")[0] == "launcher"}


@pytest.mark.parametrize("file", sorted((ROOT / "launcher").rglob("*.py")), ids=lambda file: file.name)
def test_the_launcher_imports_of_a_job_only_what_stands_between_them(file: Path) -> None:
    modules = {".".join(name.split(".")[:2]) for name in imports(file) if name.startswith("locat")}
    assert modules - {"locat"} <= SHARED


@pytest.mark.parametrize("module", sorted(SHARED))
def test_what_stands_between_them_is_free_of_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
