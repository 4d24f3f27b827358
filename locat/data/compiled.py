"""Functions that numba compiles, and what it made of them kept on the disk for the next process.

What is kept lies in a folder of its own for each state of the sources, for numba alone would not see that a function
of another file has changed; and for each processor that it was compiled for, so that all who write there write the
same. It is in NUMBA_CACHE_DIR where that is set, else beside the sources, or in the user's cache where that folder
cannot be written to. Where nothing can be kept, every process compiles for itself.
"""

import hashlib
import inspect
import os
import platform
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
from numba.extending import intrinsic

BESIDE = Path(__file__).parent / "__pycache__"
"""Where an installation keeps what it compiled."""
PORTABLE = "x86-64-v3"
"""LLVM's name of what every x86 server processor since 2015 can do. The code is as fast as that for the very processor,
and serves other nodes of a cluster and those that an image runs on as well."""
ABILITIES = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
"""LLVM's names of those."""

if numba.config.CPU_NAME is None and platform.machine() == "x86_64":
    _features = llvmlite.binding.get_host_cpu_features()
    if all(_features.get(name, False) for name in ABILITIES):
        numba.config.CPU_NAME, numba.config.CPU_FEATURES = PORTABLE, ",".join(f"+{name}" for name in ABILITIES)

sources: set[str] = set()
"""Files of the functions that were compiled so far."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile `function` where another such one calls it; it runs free of Python's lock."""
    sources.add(inspect.getfile(function))
    return numba.njit(nogil=True, error_model="numpy")(function)


def emitted(function: Callable[..., Any]) -> Any:
    """What a function that emits LLVM code (numba's `intrinsic`) emits, where a compiled function calls it."""
    sources.add(inspect.getfile(function))
    return intrinsic(function)


def kept(function: Callable[..., Any]) -> Any:
    """Compile `function` when Python first calls it, with all that it calls; or load what was compiled before."""
    dispatcher = compiled(function)
    for folder in folders():
        if is_ready(folder):
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
            try:
                dispatcher._cache = Cache(function)
            finally:
                numba.config.CACHE_DIR = before
            break
    return dispatcher


class Locator(UserProvidedCacheLocator):  # type: ignore[misc]
    """Finds what was compiled by the name of its folder, which says what the sources say: wherever they lie, and
    whenever they were written. A run's copy of the code finds what was compiled of the same code elsewhere."""

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        return Path(py_file).parent.name

    def get_source_stamp(self) -> str:
        return Path(self.get_cache_path()).parent.name


class Kept(CompileResultCacheImpl):  # type: ignore[misc]
    """numba's; it asks one locator."""

    _locator_classes = (Locator,)


class Cache(FunctionCache):  # type: ignore[misc]
    """numba's; a full disk or a damaged file costs the time to compile, and nothing else."""

    _impl_class = Kept

    def load_overload(self, *arguments: Any) -> Any:
        try:
            with without_scipy():
                return super().load_overload(*arguments)
        except Exception:  # a damaged pickle can raise anything
            with suppress(OSError):
                self.flush()

    def save_overload(self, *arguments: Any) -> None:
        with suppress(OSError):
            super().save_overload(*arguments)


@contextmanager
def without_scipy() -> Iterator[None]:
    """Hide scipy from numba, which imports it for its BLAS when the first function is loaded: none here needs it."""
    name = "scipy.linalg"
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[name]


def folders() -> list[Path]:
    """Where the functions in `sources` may be kept, the best place first."""
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR) / state()]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return [BESIDE / state(), caches / "locat" / state()]


def state() -> str:
    """A name for what the sources say now, compiled by this numba for this processor."""
    features = numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten()
    processor = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    digest = hashlib.sha256(" ".join((numba.__version__, llvmlite.__version__, processor, features)).encode())
    for file in sorted(sources):
        digest.update(Path(file).read_bytes())
    return f"compiled-{digest.hexdigest()[:16]}"


def is_ready(folder: Path) -> bool:
    """Whether `folder` can be written to; what was compiled at installation is then in it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        built = BESIDE / folder.name
        if not folder.exists() and built.exists():
            copy = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
            shutil.copytree(built, copy)
            with suppress(OSError):  # another process was quicker
                copy.rename(folder)
            shutil.rmtree(copy, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        return False
    return os.access(folder, os.W_OK | os.X_OK)
