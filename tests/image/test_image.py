"""The project's image, built and used as a pod uses it: read-only root, uid 1000, no network but loopback."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import project_image, training
from support.project_image import Container
from support.required import require

pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]

USER = 1000
COMPILERS = "cc gcc g++ c++ clang clang++ tcc ld as make cmake nvcc rustc go"
TOOLS = ("pip", "mypy", "pytest", "ruff", "hypothesis")
SECRETS = "find / -xdev ( -name id_rsa -o -name .netrc -o -name .pypirc -o -name .git -o -name .env ) -print"


@pytest.fixture(scope="session")
def container() -> Iterator[Container]:
    require(project_image.missing())
    with project_image.container() as made:
        yield made


def output(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_it_says_what_it_is(container: Container) -> None:
    assert container.labels["org.opencontainers.image.version"] == "test"
    revision = container.labels["org.opencontainers.image.revision"]
    assert len(revision) == 12
    assert (container.root / "opt/locat/REVISION").read_text() == f"{revision}\n"  # which pods record


def test_the_launcher_works_in_it(container: Container) -> None:
    assert "submit" in output(container.run("launcher", "--help"))
    assert "valid, 6 jobs" in output(container.run("launcher", "validate", "pipelines/digits.yaml"))


def test_what_jobs_import_is_there(container: Container) -> None:
    modules = (
        "torch, torchvision, triton, ffcv, cv2, timm, transformers, mlflow, deepspeed, faiss, psycopg2, flask_wtf, "
        "segmentation_models_pytorch"
    )
    printed = output(container.run("python", "-c", f"import {modules}; print(torch.__version__, torch.version.cuda)"))
    assert "None" not in printed  # a build for GPUs


def test_attention_on_a_cpu_is_compiled_for_each_instruction_set(container: Container) -> None:
    ask = "import torch; from locat.models.kernels import native; print(native.obstacle(torch.float32))"
    for instructions in ("avx2", "avx512"):
        asked = container.run("env", f"ATEN_CPU_CAPABILITY={instructions}", "python", "-c", ask)
        assert output(asked).strip() == "None"


def test_its_bill_of_materials_is_read_in_it(container: Container) -> None:
    script = (project_image.ROOT / "docker" / "sbom.py").read_text()
    bill = json.loads(output(container.run("python", "-c", script)))
    kinds = {part["name"]: part["purl"].partition("/")[0] for part in bill["components"]}
    assert (kinds["torch"], kinds["libturbojpeg0"], kinds["flask-wtf"]) == ("pkg:pypi", "pkg:deb", "pkg:pypi")


def test_nothing_in_it_may_be_written(container: Container) -> None:
    for path in ("/opt/locat/x", "/opt/venv/x", "/root/x", "/x"):
        assert container.run("touch", path).returncode != 0
    assert output(container.run("id", "-u")).strip() == str(USER)


def test_neither_compilers_nor_developers_tools_nor_secrets_are_in_it(container: Container) -> None:
    assert output(container.run("sh", "-c", f"for name in {COMPILERS}; do command -v $name || true; done")) == ""
    found = f"import importlib.util; print([name for name in {TOOLS} if importlib.util.find_spec(name)])"
    assert output(container.run("python", "-c", found)).strip() == "[]"
    assert container.run(*SECRETS.split()).stdout == ""
    assert container.run("find", "/", "-xdev", "-path", "*/include/*.h").stdout == ""


def test_triton_gets_its_launcher_without_a_compiler(container: Container, tmp_path: Path) -> None:
    build = """
from triton.backends.nvidia import driver
from triton.runtime.build import _build
path = _build("cuda_utils", driver.dirname + "/driver.c", "/tmp", [driver.libdevice_dir], driver.include_dirs,
              driver.libraries, [])
print(b"PyInit_cuda_utils" in open(path, "rb").read())
"""
    assert output(container.run("python", "-c", build)).strip() == "True"
    other = container.run("triton-cc", "x.c", "-o", "x")
    assert other.returncode == 1
    assert "no C compiler in this image" in other.stderr


@pytest.mark.parametrize("strategy", ["fsdp", "ddp", "deepspeed"])
def test_two_ranks_train_in_it(container: Container, digits: Path, strategy: str) -> None:
    name = f"pretrain-{strategy}"
    data = {split: f"/tmp/work/convert/outputs/{split}.beton" for split in ("train", "val")}
    training.write_config(digits / name, training.supervised(data, epochs=1, strategy=strategy))
    run_job(container, digits, name, ranks=2)
    assert json.loads((digits / name / "outputs" / "metrics.json").read_text())["metrics"]["top5"] > 0


@pytest.fixture(scope="module")
def digits(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of user 1000 in which the job `convert` has run."""
    folder = tmp_path_factory.mktemp("work")
    dataset = {"name": "digits", "train_scenes": 96, "val_scenes": 33, "image_size": 32}
    training.write_config(folder / "convert", {"task": "convert", "dataset": dataset})
    run_job(container, folder, "convert")
    return folder


def run_job(container: Container, folder: Path, name: str, ranks: int = 1) -> None:
    """Run one job in the container, as `locat.__main__` is run in a pod."""
    (folder / name / "attempt").mkdir()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    job = ["-m", "locat", f"/tmp/work/{name}/config.yaml"]
    variables = ["OMP_NUM_THREADS=1", f"LOCAT_ATTEMPT_DIR=/tmp/work/{name}/attempt"]
    output(container.run(*variables, "python", *torchrun, *job, work=folder))
