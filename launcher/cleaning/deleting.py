"""Deletes folders that somebody may look for: first they lose their name, all of them at once."""

import os
import shutil
import stat
from pathlib import Path

from locat.contract import durable
from locat.contract.checkpoint_folder import MANIFEST

HIDDEN = ".deleted"
"""What the name of a folder ends in that is being deleted, or was until a kill. It begins with a dot."""


def hide(path: Path) -> Path:
    """Take a folder's name from it; where it is then. A power cut leaves the one or the other.

    Raises:
        FileNotFoundError: somebody else has deleted it.
    """
    hidden = path.with_name(f".{path.name}{HIDDEN}")
    if os.path.lexists(hidden):  # of an earlier one of this name
        erase(hidden)
    path.rename(hidden)
    durable.sync_folder(path.parent)
    return hidden


def real(hidden: Path) -> Path:
    """The name that a hidden folder had."""
    return hidden.with_name(hidden.name.removeprefix(".").removesuffix(HIDDEN))


def show(hidden: Path) -> bool:
    """Give a hidden folder its name back; whether it has it, or another one has."""
    if not real(hidden).exists():
        hidden.rename(real(hidden))
        durable.sync_folder(hidden.parent)
        return True
    return False


def erase(path: Path) -> None:
    """Delete a file, or a folder with all that it holds. What others delete meanwhile is no error."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    made_writable = False
    while path.exists():
        try:
            (path / MANIFEST).unlink(missing_ok=True)  # from here on it is no complete checkpoint, wherever this ends
            shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except PermissionError:
            if made_writable:
                raise
            made_writable = True
            _make_writable(path)


def size(path: Path) -> int:
    """Bytes that are free once a file or folder is deleted: files with another name elsewhere free none."""
    found = 0
    for name in [str(path), *(f"{at}/{each}" for at, _, files in os.walk(path) for each in files)]:
        try:
            status = os.lstat(name)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            found += status.st_size
    return found


def _make_writable(folder: Path) -> None:
    """Let the owner of a folder delete what is in it, and in those below."""
    folder.chmod(0o700)
    for at, folders, _ in os.walk(folder):  # looks into each only after this
        for name in folders:
            if not os.path.islink(f"{at}/{name}"):
                os.chmod(f"{at}/{name}", 0o700)
