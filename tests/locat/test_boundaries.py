"""Which part of the project may import which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [file.relative_to(ROOT) for package in ("launcher", "locat") for file in (ROOT / package).rglob("*.py")]


def imports(file: Path) -> set[str]:
    """Modules that a file imports, wherever in it, by their whole names."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def importers(module: str) -> set[str]:
    """Files of the project that import a module or what lies in it."""
    return {str(file) for file in FILES if any(f"{name}.".startswith(f"{module}.") for name in imports(file))}


def test_a_job_never_imports_the_launcher() -> None:
    assert {file for file in importers("launcher") if file.startswith("locat/")} == set()


def test_the_launcher_imports_of_a_job_only_what_stands_between_them() -> None:
    allowed = importers("locat.config") | importers("locat.contract")
    others = {"commands", "data", "engine", "export", "models", "predict", "report", "tasks", "weights", "parent"}
    assert {file for file in allowed if file.startswith("launcher/")}
    assert {file for name in others for file in importers(f"locat.{name}") if file.startswith("launcher/")} == set()


def test_the_launcher_and_what_stands_between_them_are_free_of_torch() -> None:
    shared = ("launcher/", "locat/config/", "locat/contract/")
    files = [file for file in FILES if str(file).startswith(shared) and file.name != "__main__.py"]
    modules = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_yaml_is_read_and_written_in_one_way() -> None:
    assert importers("yaml") == {
        "locat/contract/yaml_source.py",
        "locat/contract/yaml_text.py",
        "launcher/backends/kubernetes/readable_yaml.py",
    }


def test_mlflow_is_imported_in_one_folder() -> None:
    assert {str(Path(file).parent) for file in importers("mlflow")} == {"locat/engine/tracking"}


def test_the_library_of_the_hub_is_imported_by_one_file_of_the_launcher() -> None:
    files = {file for file in importers("huggingface_hub") if file.startswith("launcher/")}
    assert files == {"launcher/sharing/hub.py"}
    assert importers("launcher.sharing.hub") == {"launcher/verbs/push.py"}


def test_onnx_is_imported_in_one_file() -> None:
    assert {file for name in ("onnx", "onnxruntime", "onnxscript") for file in importers(name)} == {
        "locat/export/formats.py"
    }


@pytest.mark.parametrize("backend", [path.parent.name for path in (ROOT / "launcher/backends").glob("*/__init__.py")])
def test_a_backend_is_imported_only_by_itself(backend: str) -> None:
    """The registry imports it by name, when it is used."""
    folder = f"launcher/backends/{backend}"
    assert {file for file in importers(folder.replace("/", ".")) if not file.startswith(f"{folder}/")} == set()


def test_only_what_finds_and_creates_runs_raises_their_error() -> None:
    raisers = {str(file) for file in FILES if "raise RunError(" in (ROOT / file).read_text()}
    assert raisers == {"launcher/runs/create.py", "launcher/runs/find.py"}
    assert "launcher/runs/create.py" not in importers("launcher.runs.find")
