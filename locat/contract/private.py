"""Folders that nobody but this user can write to: what a process keeps for the next one, and later trusts.

Caches of numba, Triton, inductor and matplotlib are pickles, code and shared libraries. Who may put a file there first
runs code as whoever reads it, so none of them lies in a folder that others can write to, or have made. That nobody can
rename it is up to the folder above it: a machine's /tmp has its sticky bit, that of a pod no other users.
"""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from locat.contract.errors import JobError, UserError

CACHES = {
    "NUMBA_CACHE_DIR": "numba",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "extensions",
    "MPLCONFIGDIR": "matplotlib",
}
"""Variable -> folder below `base()/caches`: what libraries keep, and read again as code."""
DOWNLOADS = {"XDG_CACHE_HOME": "downloads"}
"""The same for what is only kept elsewhere where the home directory takes nothing."""


class NoPlaceError(UserError):
    """No folder of this machine is this user's alone."""


def base() -> Path:
    """The folder for what this user's processes keep on this machine.

    Raises:
        NoPlaceError: none of the places will do; says why.
    """
    faults = []
    for place in places():
        if not (fault := made_private(place)):
            return place
        faults.append(f"{place} {fault}")
    raise NoPlaceError(
        f"there is no folder for caches and locks that is yours alone: {'; '.join(faults)};"
        " make one of them writable for you alone, or name a writable one by XDG_CACHE_HOME"
    )


def places() -> list[Path]:
    """Where it may be, the best first: below the home directory, or where the machine keeps what may go."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(KeyError):  # a user without an entry in passwd
        if not cache.startswith("/"):
            cache = f"{os.environ.get('HOME') or pwd.getpwuid(os.getuid()).pw_dir}/.cache"
    return [*([Path(cache) / "locat"] if cache.startswith("/") else []), *temporary()]


def temporary() -> list[Path]:
    """Those that may be gone after a restart of the machine."""
    return [Path(folder) / f"locat-{os.getuid()}" for folder in ("/tmp", os.environ.get("TMPDIR", "")) if folder]


def made_private(folder: Path) -> str:
    """Make a folder that this user alone can write to and read, if it is not there; why it is none, or empty."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return "is no folder"
        if found.st_uid != os.getuid():
            return "is another user's"
        if found.st_mode & 0o022:
            return "can be written to by others"
        if found.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "is not writable"


def settle_caches() -> None:
    """Have the libraries of this process and its children keep what they keep in private folders.

    Called before any of them is imported. A place that a variable names already is kept if it is private.

    Raises:
        JobError: there is no such folder.
    """
    try:
        place = base()
    except NoPlaceError as error:
        raise JobError(str(error)) from error
    caches = place / "caches"
    made_private(caches)
    for variable, name in {**CACHES, **(DOWNLOADS if place in temporary() else {})}.items():
        named = os.environ.get(variable, "")
        if not named.startswith("/") or made_private(Path(named)):
            os.environ[variable] = str(caches / name)
            made_private(caches / name)
