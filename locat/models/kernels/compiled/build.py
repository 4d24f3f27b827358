"""Compile the C++ kernels of GAug attention: `python build.py`, once for each instruction set that they know.

It needs nothing but Python and g++, so that an image builds it before anything else is there. A library's name says
what it was made of: one of other sources is not taken. It lies beside the sources, or in the user's cache where that
folder cannot be written to.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("attention.cpp", "attention.h", "gaussians.h", "lanes.h", "problem.h")
INSTRUCTIONS = {
    "AVX512": ("-DVECTOR_BYTES=64", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
    "AVX2": ("-DVECTOR_BYTES=32", "-mavx2", "-mfma"),
}
"""Flags for each instruction set, by torch's name of it."""
FLAGS = (
    "-std=c++17",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-exceptions",
    "-fno-rtti",
    "-fvisibility=hidden",
)
LINK = ("-shared", "-fPIC", "-Wl,--as-needed", "-Wl,--no-undefined")


def folders() -> list[Path]:
    """Where libraries may lie, the best place first."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # which stays as it is without a home
    return [HERE / "__pycache__", *([Path(caches, "locat")] if os.path.isabs(caches) else [])]


def name(instructions: str) -> str:
    """The file of the library for these instructions, of the sources as they are now."""
    digest = hashlib.sha256(repr((INSTRUCTIONS[instructions], FLAGS, LINK)).encode())
    for source in SOURCES:
        digest.update((HERE / source).read_bytes())
    return f"attention-{digest.hexdigest()[:16]}-{instructions.lower()}.so"


def built(instructions: str) -> Path | None:
    """The library for these instructions, if it was built."""
    return next((folder / name(instructions) for folder in folders() if (folder / name(instructions)).is_file()), None)


def build() -> str | None:
    """Compile what is not there yet; returns why that is impossible, if it is."""
    if platform.machine() != "x86_64":
        return f"there are no kernels for {platform.machine()}"
    missing = [instructions for instructions in INSTRUCTIONS if built(instructions) is None]
    if not missing:
        return None
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return "there is no C++ compiler"
    folder = next((folder for folder in folders() if writable(folder)), None)
    if folder is None:
        return f"nothing can be written to {' or '.join(map(str, folders()))}"
    running = []
    for instructions in missing:
        unfinished = folder / f".{uuid.uuid4().hex}.so"
        command = [compiler, *FLAGS, *INSTRUCTIONS[instructions], *LINK, str(HERE / SOURCES[0]), "-o", str(unfinished)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        running.append((process, unfinished, folder / name(instructions)))
    obstacle = None
    for process, unfinished, library in running:
        errors = process.communicate()[1]
        if process.returncode == 0:
            unfinished.replace(library)  # at once: others may be building or loading it
        else:
            unfinished.unlink(missing_ok=True)
            said = [line for line in errors.splitlines() if "error" in line] or [f"exit code {process.returncode}"]
            obstacle = f"{compiler} failed: {said[0]}"
    return obstacle


def writable(folder: Path) -> bool:
    """Whether files can be made in this folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


if __name__ == "__main__":
    if obstacle := build():
        print(f"GAug attention on CPUs will be of torch's operations, which is slower: {obstacle}", file=sys.stderr)
