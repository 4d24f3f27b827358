"""What linters say of the Dockerfiles and of the manifests."""

import subprocess
from pathlib import Path

import pytest

from cluster.build import KUBERNETES, build
from cluster.host import missing
from support.required import isolation, require

pytestmark = [pytest.mark.image, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv" / "checks" / "bin"
DOCKERFILES = ("docker/Dockerfile", "tests/cluster/postgres/Dockerfile")
KUSTOMIZATIONS = ("base", "overlays/kueue", "overlays/single-node")


def check(tool: str, *arguments: str) -> None:
    program = TOOLS / tool
    require("" if program.exists() else f"no {tool}: `make container-tools` installs it")
    alone = () if isolation() else ("unshare", "--net")  # where there is no network, checkov waits for none
    command = [*alone, str(program), *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def checkov(framework: str, *files: str) -> None:
    options = ("--framework", framework, "--quiet", "--compact", "--skip-download")
    check("checkov", *options, "--config-file", "k8s/.checkov.yaml", "--file", *files)


def test_dockerfiles_are_clean() -> None:
    check("hadolint", *DOCKERFILES)
    checkov("dockerfile", *DOCKERFILES)


def test_manifests_are_clean(tmp_path: Path) -> None:
    require("" if KUBERNETES.built else missing())  # too long a build for kubectl alone
    files = [tmp_path / f"{name.replace('/', '-')}.yaml" for name in KUSTOMIZATIONS]
    for name, file in zip(KUSTOMIZATIONS, files, strict=True):
        command = ["kubectl", "kustomize", str(ROOT / "k8s" / name)]
        done = subprocess.run(command, executable=build(KUBERNETES), capture_output=True, text=True, check=True)
        file.write_text(done.stdout)
    checkov("kubernetes", *map(str, files))
