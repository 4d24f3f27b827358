"""Tasks and datasets of installed packages: found when they are asked for, and broken in one sentence."""

import os
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from locat.config import TASKS, JobConfig
from locat.config.datasets import DATASETS, ConvertConfig, Source
from locat.contract.errors import UserError
from locat.contract.plugins import Registry, subclass_of
from support.packages import install

OWN = "locat.config.datasets:ConvertConfig"
TASK = """
from typing import ClassVar, Literal
from locat.config import JobConfig

class Count(JobConfig):
    entry: ClassVar[str] = "counting:count"
    outputs: ClassVar[dict[str, str]] = {"numbers": "numbers.json"}
    headline: ClassVar[str] = "most"
    task: Literal["count"]
    upto: int = 3
"""
DATASET = """
from pathlib import Path
from typing import ClassVar, Literal
from locat.config.datasets import Source

class Shapes(Source):
    reader: ClassVar[str] = "shapes:read"
    name: Literal["shapes"]
    folder: Path
"""
PIPELINE = """
name: own
jobs:
  convert: {task: convert, config: {dataset: {name: shapes, folder: /data/shapes}}}
  count: {task: count, config: {upto: 5}}
"""


def registry() -> Registry[type[JobConfig]]:
    return Registry("locat.tasks", {"convert": OWN}, subclass_of(JobConfig, "entry"))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are installed."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("own", [TASKS.built_in, DATASETS.built_in], ids=["tasks", "datasets"])
def test_what_the_project_brings_is_complete(own: dict[str, type[JobConfig] | type[Source]]) -> None:
    for name, config in own.items():
        field = "task" if issubclass(config, JobConfig) else "name"
        place = config.entry if issubclass(config, JobConfig) else config.reader
        assert callable(resolve_name(place)), name
        assert config.model_json_schema()["properties"][field]["const"] == name


def test_a_package_adds_a_task(packages: Path) -> None:
    install(packages, "counting", {"locat.tasks": "count = counting:Count"}, TASK)
    tasks = registry()
    assert [*tasks] == ["convert", "count"] and len(tasks) == 2
    assert tasks["count"].column("most") == "most of count"
    assert "counted" not in tasks and tasks.get("counted") is None


def test_two_packages_with_one_name_are_refused(packages: Path) -> None:
    install(packages, "counting", {"locat.tasks": "count = counting:Count"}, TASK)
    install(packages, "other", {"locat.tasks": "count = other:Count"}, TASK)
    with pytest.raises(UserError, match=r"counting and other both offer 'count' \(locat.tasks\)|other and counting"):
        registry()["count"]


def test_names_of_the_project_are_found_without_a_search(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(packages, "counting", {"locat.tasks": "convert = counting:Count"}, TASK)
    monkeypatch.setattr("importlib.metadata.entry_points", None)
    tasks = registry()
    assert tasks["convert"] is ConvertConfig and "convert" in tasks


@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("import nonsense", "ModuleNotFoundError: No module named 'nonsense'"),
        ("x = 1 +", "SyntaxError: "),
        ("class Count: pass", "TypeError: not a subclass of locat.config.base.JobConfig"),
        (
            "from locat.config import JobConfig as Count",
            "TypeError: has no `entry`, the `module:function` that does the work",
        ),
    ],
)
def test_a_broken_package_is_named_with_its_entry_point(packages: Path, module: str, what: str) -> None:
    package = f"broken{abs(hash(module))}"
    install(packages, package, {"locat.tasks": f"count = {package}:Count"}, module)
    with pytest.raises(UserError) as error:
        registry()["count"]
    promise = f"package {package}: entry point count = {package}:Count (locat.tasks) cannot be loaded"
    assert str(error.value).startswith(f"{promise}: {what}")
    assert str(error.value).endswith("; repair or uninstall the package")


def launcher(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, where the packages in `folder` are installed and a pipeline lies."""
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[3])])
    return subprocess.run(
        [sys.executable, "-m", "launcher", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_validate_and_dry_run_know_them(tmp_path: Path) -> None:
    install(tmp_path, "counting", {"locat.tasks": "count = counting:Count"}, TASK)
    install(tmp_path, "shapes", {"locat.datasets": "shapes = shapes:Shapes"}, DATASET)
    install(tmp_path, "unused", {"locat.datasets": "unused = unused:NotThere"})
    (tmp_path / "own.yaml").write_text(PIPELINE)
    assert launcher(tmp_path, "validate", "own.yaml").stdout == "own.yaml: valid, 2 jobs\n"
    assert "count" in launcher(tmp_path, "submit", "own.yaml", "--dry-run").stdout

    (tmp_path / "own.yaml").write_text(PIPELINE.replace("folder: /", "foldr: /").replace("upto: 5", "upto: x"))
    wrong = launcher(tmp_path, "validate", "own.yaml")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines() == [
        "own.yaml:4:37: jobs.convert.config.dataset.folder: required, but missing: a path",
        "own.yaml:4:61: jobs.convert.config.dataset.foldr: unknown key 'foldr'; did you mean 'folder'?",
        "own.yaml:5:33: jobs.count.config.upto: expected an integer, got 'x'",
    ]


def test_names_that_are_near_are_suggested_with_all_that_are_known(tmp_path: Path) -> None:
    install(tmp_path, "counting", {"locat.tasks": "count = counting:Count"}, TASK)
    install(tmp_path, "shapes", {"locat.datasets": "shapes = shapes:NotThere"}, DATASET)
    (tmp_path / "own.yaml").write_text(PIPELINE.replace("task: count", "task: cuont"))
    wrong = launcher(tmp_path, "validate", "own.yaml").stderr
    assert "compare, command, count, got 'cuont'; did you mean 'count'?" in wrong
    (tmp_path / "own.yaml").write_text(PIPELINE.replace("name: shapes", "name: shape"))
    wrong = launcher(tmp_path, "validate", "own.yaml").stderr
    assert "pascal_context, shapes, got 'shape'; did you mean 'shapes'?" in wrong


def test_a_broken_package_ends_in_one_line(tmp_path: Path) -> None:
    install(tmp_path, "counting", {"locat.tasks": "count = counting:NotThere"}, TASK)
    (tmp_path / "own.yaml").write_text(PIPELINE.replace("shapes, folder: /data/shapes", "digits"))
    wrong = launcher(tmp_path, "validate", "own.yaml")
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1
    assert wrong.stderr.startswith("package counting: entry point count = counting:NotThere (locat.tasks) cannot be")


def test_what_is_committed_does_not_depend_on_what_is_installed(tmp_path: Path) -> None:
    install(tmp_path, "counting", {"locat.tasks": "count = counting:Count"}, TASK)
    install(tmp_path, "shapes", {"locat.datasets": "shapes = shapes:Shapes"}, DATASET)
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    for module, file in (("json_schema", "pipelines/schema.json"), ("reference_page", "docs/pipeline-reference.md")):
        command = [sys.executable, "-m", f"launcher.language.{module}"]
        own = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert own == (root / file).read_text()
        installed = subprocess.run(
            [*command, "--installed"], env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert "upto" in installed and "shapes" in installed
