"""`launcher doctor`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from launcher import interpreter, locks, machine
from launcher.backends import BACKENDS
from launcher.backends.checks import Check
from launcher.runs.find import list_runs
from launcher.runs.mlflow_sync import troubles
from launcher.verbs.arguments import backend_option, runs_option
from locat.contract import private
from locat.contract.errors import UserError
from locat.contract.tracking_uri import IGNORED

IMPORT_TIMEOUT = 120
"""Seconds; the first import after an installation reads gigabytes."""
GIGABYTES_NEEDED = 5
ASK_TORCH = (
    "import torch; nccl = torch.cuda.nccl.version() if torch.distributed.is_nccl_available() else ['missing']; "
    "print(torch.__version__, 'with', [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] "
    "or 'no usable GPU', 'and NCCL', '.'.join(map(str, nccl)))"
)
ASK_ATTENTION = (
    "import torch; from locat.models.kernels import native; "
    "print(native.obstacle(torch.float32) or f'compiled, for {native.instructions()}')"
)


@click.command("doctor")
@backend_option
@runs_option
def command(backend: str, runs: Path) -> None:
    """Check that this machine can run pipelines; exits with code 1 if something that you need is missing.

    With --backend slurm or kubernetes, check that cluster too.
    """
    missing = False
    for check in chain(checks(runs), BACKENDS[backend].checks()):
        mark = "ok" if check.good else "MISSING" if check.needed else "note"
        click.echo(f"{mark:8}{check.subject}: {check.found}")
        if not check.good:
            click.echo(f"{'':8}-> {check.remedy}")
        missing |= check.needed and not check.good
    sys.exit(int(missing))


def checks(runs: Path) -> Iterator[Check]:
    """Everything that is looked at, in the order it is needed."""
    yield Check("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")
    yield Check("cores", True, str(machine.cores()), "")
    yield _compiler()
    yield _library("opencv4", "libopencv-dev")
    yield _library("libturbojpeg", "libturbojpeg0-dev")
    for module, asks in (("torch", ASK_TORCH), ("ffcv", ""), ("mlflow", "")):
        yield _module(module, asks or f"import {module}; print(getattr({module}, '__version__', 'importable'))")
    yield _attention()
    yield _gpus()
    yield _runs_folder(runs.resolve())
    yield _private()
    yield from _tracking(runs.resolve())
    free = shutil.disk_usage(_existing(runs.resolve())).free / 1e9
    yield Check("disk", free >= GIGABYTES_NEEDED, f"{free:.0f} GB free", f"free {GIGABYTES_NEEDED} GB for checkpoints")


def _compiler() -> Check:
    found = shutil.which("c++") or shutil.which("g++")
    return Check("C++ compiler", found is not None, found or "none", "apt install build-essential")


def _library(name: str, package: str) -> Check:
    """A system library that FFCV is built against."""
    remedy = f"apt install pkg-config {package}, then install ffcv again"
    if shutil.which("pkg-config") is None:
        return Check(name, False, "pkg-config is not installed", remedy)
    asked = subprocess.run(["pkg-config", "--modversion", name], capture_output=True, text=True)
    return Check(name, asked.returncode == 0, asked.stdout.strip() or "not found", remedy)


def _module(name: str, code: str) -> Check:
    """An import tried in a process of its own: it may be slow, or crash."""
    remedy = "install the project's dependencies: pip install -r requirements.lock"
    try:
        tried = subprocess.run(
            [sys.executable, interpreter.SAFE_PATH, "-c", code], capture_output=True, text=True, timeout=IMPORT_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return Check(name, False, f"no answer within {IMPORT_TIMEOUT} s", remedy)
    lines = (tried.stdout if tried.returncode == 0 else tried.stderr).strip().splitlines()
    return Check(name, tried.returncode == 0, lines[-1] if lines else f"exit code {tried.returncode}", remedy)


def _attention() -> Check:
    """What attends on a CPU: each form gives the same results."""
    asked = _module("attention on CPUs", ASK_ATTENTION)
    compiled = asked.good and asked.found.startswith("compiled")
    remedy = "torch's operations attend, which is slower; run make install to compile the kernels"
    return Check(asked.subject, compiled, asked.found, remedy, needed=False)


def _gpus() -> Check:
    remedy = "only for jobs that ask for GPUs: install NVIDIA's driver"
    if shutil.which("nvidia-smi") is None:
        return Check("GPUs", bool(machine.gpus()), f"{len(machine.gpus())}, no nvidia-smi", remedy, needed=False)
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    asked = subprocess.run(query, capture_output=True, text=True)
    found = "; ".join(asked.stdout.strip().splitlines()) or (asked.stderr.strip() or "none")
    return Check("GPUs", asked.returncode == 0, found, remedy, needed=False)


def _runs_folder(runs: Path) -> Check:
    remedy = "give another one with --runs-dir or LAUNCHER_RUNS"
    try:
        locks.check(runs)
    except UserError as error:
        return Check("runs folder", False, str(error), remedy)
    except OSError as error:
        return Check("runs folder", False, f"{runs}: {error.strerror}", remedy)
    return Check("runs folder", True, str(runs), remedy)


def _private() -> Check:
    """Where locks of cores and caches of libraries lie; not below a home directory that takes nothing."""
    try:
        found = private.base()
    except UserError as error:
        return Check(
            "caches", False, str(error), "make your home directory writable, or name a folder by XDG_CACHE_HOME"
        )
    note = "" if found not in private.temporary() else "; your home directory takes none"
    return Check("caches", True, f"{found}{note}", "")


def _tracking(runs: Path) -> Iterator[Check]:
    """What MLflow refuses of runs, and variables that look as if they said where runs are tracked."""
    for run in list_runs(runs):
        for trouble in troubles(run):
            yield Check(f"MLflow, {run.name}", False, trouble, f"then launcher sync {run.name}", needed=False)
    left = [name for name in IGNORED if os.environ.get(name)]
    if left:
        remedy = "say in the pipeline where it is tracked: tracking.uri, tracking.experiment"
        yield Check("MLflow's variables", False, f"not heeded: {', '.join(left)}", remedy, needed=False)


def _existing(path: Path) -> Path:
    """The nearest folder above that exists."""
    return path if path.exists() else _existing(path.parent)
