"""Pack what a machine without network lacks to run `make gpu`, if it has Python 3.12, torch, numba and scikit-learn.

    python benchmarks/gpu/bundle.py

Wheels of the versions in requirements.lock, their hashes checked, DeepSpeed built as one; FFCV's C library, which is
bound to no version of Python, with the system libraries that it needs. Left out, since they would not fit or nothing
in `make gpu` asks for them: numba with llvmlite (60 MB; the machine's own is used), scikit-learn and SciPy likewise;
MLflow (jobs run without `tracking`), faiss (the task hummingbird), lightkube (Kubernetes), FFCV's Python.
"""

import re
import shutil
import subprocess
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from carried import CARRIED, LIBRARIES, ROOT, WHEELS

LIMIT = 60e6  # bytes
PYTHON = "3.12"
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)] + ["manylinux2014_x86_64"]
CONFIGS = ("annotated-types", "click", "msgspec", "psutil", "pydantic", "pydantic-core", "pyyaml", "tqdm")
CONFIGS += ("typing-extensions", "typing-inspection")
MODELS = ("safetensors", "timm")
DEEPSPEED = ("einops", "hjson", "msgpack", "packaging", "py-cpuinfo")
TESTS = ("execnet", "hypothesis", "iniconfig", "pluggy", "pygments", "pytest", "pytest-timeout", "pytest-xdist")
TESTS += ("sortedcontainers",)
SOURCES = ("deepspeed",)
"""Of which there are no wheels."""
EVERYWHERE = re.compile(r"ld-linux|lib(c|m|z|dl|rt|pthread|stdc\+\+|gcc_s)\.so")
"""What every Linux with Python and torch has, and must not have twice."""


def main() -> None:
    shutil.rmtree(CARRIED, ignore_errors=True)
    WHEELS.mkdir(parents=True)
    locked = pins((ROOT / "requirements.lock").read_text() + (ROOT / "requirements-dev.lock").read_text())
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    binary = ("--only-binary=:all:", "--python-version", PYTHON, *platforms)
    fetch("download", locked, CONFIGS + MODELS + DEEPSPEED + TESTS, *binary)
    fetch("wheel", locked, SOURCES, "--no-build-isolation")
    pack_ffcv()
    sizes = {path.relative_to(CARRIED): path.stat().st_size for path in sorted(CARRIED.rglob("*")) if path.is_file()}
    for path, size in sizes.items():
        print(f"{size / 1e6:6.1f} MB  {path}")
    total = sum(sizes.values())
    print(f"{total / 1e6:6.1f} MB in {CARRIED}")
    if total > LIMIT:
        raise SystemExit(f"that is more than {LIMIT / 1e6:.0f} MB")


def pins(lock: str) -> dict[str, str]:
    """Name -> the lines that pin it with its hashes."""
    return {pin[1]: pin[0] for pin in re.finditer(r"^([a-z0-9-]+)==.*(?:\n    .*)*", lock, re.MULTILINE)}


def fetch(verb: str, locked: dict[str, str], names: tuple[str, ...], *options: str) -> None:
    """Have pip put wheels of the pinned versions into WHEELS."""
    asked = CARRIED / "requirements.txt"
    asked.write_text("\n".join(locked[name] for name in names) + "\n")
    where = "--dest" if verb == "download" else "--wheel-dir"
    command = [sys.executable, "-m", "pip", verb, "--quiet", "--no-deps", "--require-hashes", *options]
    subprocess.run([*command, where, str(WHEELS), "--requirement", str(asked)], check=True)
    asked.unlink()


def pack_ffcv() -> None:
    """The C library under a name that any Python takes for an extension, and what it loads."""
    package = find_spec("ffcv")
    module = PathFinder.find_spec("_libffcv", package.submodule_search_locations) if package else None
    if module is None or module.origin is None:
        raise SystemExit("FFCV is not installed here: run `make install`")
    for folder in ("ffcv", "system"):
        (LIBRARIES / folder).mkdir(parents=True)
    shutil.copy(module.origin, LIBRARIES / "ffcv" / "_libffcv.so")
    for library in needed(Path(module.origin)):
        shutil.copy(library, LIBRARIES / "system" / library.name)


def needed(library: Path) -> list[Path]:
    """Libraries that the loader would load with this one, all the way down, but for those that are everywhere."""
    listed = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    paths = [Path(path) for path in re.findall(r"=> (/\S+)", listed)]
    return [path for path in paths if not EVERYWHERE.match(path.name)]


if __name__ == "__main__":
    main()
