"""Writes that survive a kill at any instruction: temporary name, fsync, rename."""

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Its folder must be there: of a run that was deleted while it worked nothing must come back.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)  # as the umask has it
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, with what UTF-8 cannot say escaped; see `write_bytes`."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline; see `write_bytes`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def make_folder(folder: Path, within: Path | None = None) -> None:
    """Make a folder, and those above it, so that a power cut leaves them where they are.

    Raises:
        FileNotFoundError: `within`, which is above it, is not there: such as a run that was deleted while it worked.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed([path for path in missing if within is None or within in path.parents]):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Flush a written file's data to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it is kept."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush all that a folder holds to the disk, and its own name. What has no data, such as a pipe, is passed over."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            sync_file(path)


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
