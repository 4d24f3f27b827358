"""What a machine without network is brought, in build/gpu/, and how the parts find it there."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
ROOT = BENCHMARKS.parent
CARRIED = ROOT / "build" / "gpu"
WHEELS = CARRIED / "wheels"
LIBRARIES = CARRIED / "libraries"
"""A package `ffcv` that is only FFCV's C library; beside it, in `system`, the system libraries that one needs."""


class NotCarried(Exception):
    """Neither the project nor what `bundle.py` packs is here."""


def environment(site: Path) -> dict[str, str]:
    """Of every part: the project's own environment where that is installed; else what was carried, put into `site`.

    Raises:
        NotCarried: neither is there, or it does not fit this Python.
    """
    paths, found = [ROOT, ROOT / "tests", BENCHMARKS], dict(os.environ)
    if not installed():
        install(site)
        paths += [site, LIBRARIES]
        found["LD_LIBRARY_PATH"] = joined(LIBRARIES / "system", os.environ.get("LD_LIBRARY_PATH"))
    found["PYTHONPATH"] = joined(*paths, os.environ.get("PYTHONPATH"))
    found["PYTHONUNBUFFERED"] = "1"  # what a part that is cut short had said is wanted
    return found


def installed() -> bool:
    """Whether this Python has the project, and so all that it needs."""
    try:
        distribution("locat")
    except PackageNotFoundError:
        return False
    return True


def install(site: Path) -> None:
    """Unpack all wheels into a folder, without what they need beside them: torch is the machine's own."""
    wheels = sorted(WHEELS.glob("*.whl"))
    if not wheels:
        raise NotCarried(
            f"the project is not installed for {sys.executable} (make install), and {WHEELS} holds no wheels "
            "(make gpu-bundle, where there is a network)"
        )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    quiet = ["--disable-pip-version-check", "--no-warn-conflicts", "--root-user-action=ignore"]
    command = [*pip, *quiet, "--target", str(site), *map(str, wheels)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NotCarried(f"the wheels in {WHEELS} could not be installed: {done.stderr.strip()}")


def joined(*paths: Path | str | None) -> str:
    """As in PATH, without the empty ones, which would mean the working folder."""
    return os.pathsep.join(str(path) for path in paths if path)
