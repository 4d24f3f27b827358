"""Copies of code, one for each content: `RUNS/.code/DIGEST`.

A copy is complete and on the disk before it has its name. Its files are read-only, by which they are told from what
jobs write beside them. Folders are not: Python and jobs keep what they compiled in them, and whoever deletes the runs
can delete them. Nobody else can enter this user's folder of copies, whatever the umask: what another one could change
is no code to run.
"""

import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from launcher.snapshot.errors import SnapshotError
from launcher.snapshot.files import CACHE, KEPT, walk
from locat.contract import durable

NAME = ".code"
MOST_FILES = 20_000
MOST_BYTES = 200_000_000
WRITERS = 32
"""Files on their way to the disk at once: it takes many in the time of one."""
LEFT_OVER = 86400.0
"""Seconds after which an unfinished copy is that of a process that was killed."""


class Copy(NamedTuple):
    """Code of which there is a copy."""

    digest: str
    folder: Path


def keep(runs: Path, files: Mapping[str, Path], aside: Mapping[str, Path]) -> Copy:
    """The copy of these files in the folder of runs, made if there is none.

    Args:
        files: path within the copy -> file. One that is gone meanwhile is left out.
        aside: the same for what only saves time; it does not count to the content.

    Raises:
        SnapshotError: they are too many or too large, or cannot be read or written.
    """
    store = _store(runs)
    _check_size(files)
    try:
        digest = digest_of(files)
        folder = store / digest
        with suppress(OSError):
            os.utime(folder)  # from here on nobody takes it for one that no run names (launcher/cleaning)
        if not is_whole(folder):  # there is none, files were purged, or somebody followed a traceback and edited it
            digest = _copied(store, files, {**_compiled_before(store), **aside})
            folder = store / digest
    except OSError as error:
        where = error.filename or store
        raise SnapshotError(f"the code that jobs run cannot be copied to {store}: {where}: {error.strerror}") from error
    return Copy(digest, folder)


def stores(runs: Path) -> list[Path]:
    """This user's folders of copies, as far as they are there."""
    return [folder for folder in _places(runs) if not _fault(folder)]


def digest_of(files: Mapping[str, Path]) -> str:
    """SHA-256 of names and contents; `OSError` where one cannot be read."""
    found = []
    for name, path in sorted(files.items()):
        with suppress(FileNotFoundError):
            found.append((name, hashlib.sha256(path.read_bytes()).digest()))
    return _digest(found)


def is_whole(folder: Path) -> bool:
    """Whether a copy is there and has the content that it is named by, whatever jobs wrote beside it."""
    names = [os.path.normpath(name) for name in walk(folder, ".") if CACHE not in name.split("/")]
    try:
        own = {name: folder / name for name in names if not (folder / name).stat().st_mode & 0o222}
        return digest_of(own) == folder.name
    except OSError:
        return False


def _digest(found: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in found:
        digest.update(name.encode(errors="surrogateescape") + b"\0" + content)
    return digest.hexdigest()


def _store(runs: Path) -> Path:
    """This user's folder of copies."""
    if ":" in str(runs):
        raise SnapshotError(
            f"{runs}: Python takes no module from a folder with `:` in its path; give another --runs-dir"
        )
    try:
        durable.make_folder(runs)
    except OSError as error:
        raise SnapshotError(f"cannot create the run in {runs}: {error.strerror}") from error
    faults = []
    for folder in _places(runs):
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        except OSError as error:
            faults.append(f"{folder}: {error.strerror}")
            continue
        if not (fault := _fault(folder)):
            return folder
        faults.append(fault)
    said = "; ".join(faults)
    raise SnapshotError(f"there is no place for a copy of the code that jobs run: {said}; give another --runs-dir")


def _places(runs: Path) -> tuple[Path, Path]:
    """Where this user's copies may be: beside those of others in a folder of runs that several share."""
    return runs / NAME, runs / f"{NAME}-{os.getuid()}"


def _fault(folder: Path) -> str:
    """Why a folder is none for this user's copies; empty if it is one."""
    try:
        found = folder.lstat()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return "" if own else f"{folder}: is not yours alone"


def _check_size(files: Mapping[str, Path]) -> None:
    """Raise SnapshotError where they are too many or too large."""
    sizes: dict[str, int] = {}
    for name, path in files.items():
        with suppress(OSError):
            sizes[name] = path.stat().st_size
    total = sum(sizes.values())
    if len(sizes) > MOST_FILES or total > MOST_BYTES:
        largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3]
        raise SnapshotError(
            f"the modules that jobs import are {len(sizes)} files of {_megabytes(total)}, and a run keeps a copy of at"
            f" most {MOST_FILES} files and {_megabytes(MOST_BYTES)}; the largest are"
            f" {', '.join(f'{files[name]} ({_megabytes(sizes[name])})' for name in largest)}:"
            " move data elsewhere, or have git ignore what is not imported"
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _copied(store: Path, files: Mapping[str, Path], aside: Mapping[str, Path]) -> str:
    """Copy everything; the digest of what was copied, which may have been edited since it was looked at."""
    _sweep(store)
    temporary = store / f".new-{secrets.token_hex(8)}"
    temporary.mkdir()
    try:
        folders = {(temporary / name).parent for name in (*files, *aside)}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(WRITERS) as pool:
            digests = list(pool.map(_copy, files.values(), [temporary / name for name in files]))
            list(pool.map(_copy, aside.values(), [temporary / name for name in aside]))
            list(pool.map(durable.sync_folder, [path for path in (temporary, *temporary.rglob("*")) if path.is_dir()]))
        contents = zip(files, digests, strict=True)
        digest = _digest((name, content) for name, content in sorted(contents) if content is not None)
        try:
            os.rename(temporary, store / digest)
        except OSError:
            if not (store / digest).is_dir():
                raise
            _complete(store / digest, temporary, files)  # as a rule another one that submits was quicker
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    durable.sync_folder(store)
    return digest


def _complete(copy: Path, other: Path, names: Iterable[str]) -> None:
    """Give a copy what it lacks of another one, which should be the same and is emptied. Jobs may run from it."""
    for name in names:
        place, intact = copy / name, other / name
        if intact.exists() and not (place.is_file() and place.read_bytes() == intact.read_bytes()):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(intact, place)
            durable.sync_folder(place.parent)


def _compiled_before(store: Path) -> dict[str, Path]:
    """What jobs compiled in the newest copy, as `keep` takes it: an edit of something else need not cost that again."""
    copies = [folder for folder in store.iterdir() if not folder.name.startswith(".")]
    if not copies:
        return {}
    newest = max(copies, key=lambda folder: folder.stat().st_mtime)
    found = (os.path.normpath(name) for name in walk(newest, ".") if name.endswith(KEPT) and CACHE in name.split("/"))
    return {name: newest / name for name in found}


def _copy(source: Path, copy: Path) -> bytes | None:
    """Copy a file; the SHA-256 of its content, None where it is gone."""
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        return None
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    return hashlib.sha256(data).digest()


def _sweep(store: Path) -> None:
    """Remove what a process left that was killed while it copied."""
    for left in store.glob(".new-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(left, ignore_errors=True)
