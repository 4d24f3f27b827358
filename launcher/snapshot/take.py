"""Takes the code that jobs are to run: the copy, and the record of where it came from."""

import hashlib
import os
import platform
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import interpreter
from launcher.plugins import staged
from launcher.runs.folder import PATH_FILE
from launcher.snapshot import files, git, modules, store
from launcher.snapshot.git import GitError
from launcher.snapshot.redaction import blanked
from locat.contract import durable
from locat.contract.source import Origin, Source

MOST_PATCH = 1_000_000
"""Bytes of a patch that a run keeps."""
REVISION = "REVISION"
"""File beside the project in an image: the commit that it was built of (docker/Dockerfile)."""
DIRTY = "-dirty"
"""What `make image` puts after it where the code was not that of the commit."""


@dataclass(frozen=True)
class Code:
    """The code of a run, not recorded yet."""

    source: Source
    patches: dict[str, bytes]
    """Name in the run's folder -> content."""

    @property
    def python_path(self) -> str:
        """Where Python finds it."""
        return os.pathsep.join((self.source.folder, *self.source.path))

    def write(self, run: Path) -> None:
        """Record it in a run's folder; what begins of the run from then on runs this code."""
        source = self.source.after(Source.read(run))
        for name, patch in self.patches.items():
            durable.write_bytes(run / name, patch)
        source.write(run)
        if source.folder:
            durable.write_text(run / PATH_FILE, self.python_path)


@dataclass(frozen=True)
class _Part:
    """Modules of one folder."""

    folder: Path
    modules: tuple[str, ...]
    found: files.Found


def take(runs: Path, secrets: Collection[str], taken_by: str) -> Code:
    """Copy what jobs import of the project and its plugins to the folder of runs, unless it has this content already.

    Args:
        runs: absolute.
        secrets: variables of this shell whose values are blanked out in patches.
        taken_by: what the user typed.

    Raises:
        SnapshotError: it is too much, or cannot be copied.
    """
    installed = modules.installed()
    parts = list(_parts(installed))
    kept, aside = {**_paths(parts, aside=False), **staged.notes()}, _paths(parts, aside=True)
    copy = store.keep(runs, kept, aside)
    patches: dict[str, bytes] = {}
    origins = []
    for number, part in enumerate(parts):
        origin, patch = _origin(part, secrets)
        if patch:
            origin = replace(origin, patch=f"source-{copy.digest[:12]}-{number}.patch")
            patches[origin.patch] = patch
        origins.append(origin)
    path = interpreter.import_path(os.environ.get("PYTHONPATH", ""))
    source = replace(
        _source(installed, copy.digest, kept, origins, taken_by),
        folder=str(copy.folder),
        path=tuple(filter(None, path.split(os.pathsep))),
    )
    return Code(source, patches)


def of_image() -> Code:
    """The code of the image that this process runs in; there is no copy."""
    installed = modules.installed()
    parts = list(_parts(installed))
    kept = _paths(parts, aside=False)
    origins = [_origin(part, ())[0] for part in parts]
    return Code(_source(installed, store.digest_of(kept), kept, origins, "the image"), {})


def _parts(installed: modules.Installed) -> Iterable[_Part]:
    found: dict[Path, list[str]] = {}
    for place in modules.editable(installed.plugins):
        found.setdefault(place.parent, []).append(place.name)
    for folder, names in found.items():
        yield _Part(folder, tuple(names), files.find(folder, names))


def _paths(parts: Iterable[_Part], aside: bool) -> dict[str, Path]:
    """Path within a copy -> file."""
    return {name: part.folder / name for part in parts for name in (part.found.aside if aside else part.found.names)}


def _source(
    installed: modules.Installed, digest: str, kept: dict[str, Path], origins: Iterable[Origin], taken_by: str
) -> Source:
    lock = interpreter.HOME / "requirements.lock"
    return Source(
        digest=digest,
        folder="",
        files=len(kept),
        bytes=sum(path.stat().st_size for path in kept.values() if path.exists()),
        taken=time.time(),
        taken_by=taken_by,
        origins=tuple(origins),
        python=platform.python_version(),
        lock=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "",
        installed=installed.versions,
    )


def _origin(part: _Part, secrets: Collection[str]) -> tuple[Origin, bytes]:
    """Where modules come from, and the patch of what was not committed of them."""
    origin = Origin(str(part.folder), part.modules)
    if not part.found.is_checkout:
        revision = _revision(part.folder)
        note = "" if revision else part.found.note
        if revision.endswith(DIRTY):
            note = "the image was built of a checkout with changes, which are not known"
        return replace(origin, commit=revision.removesuffix(DIRTY), note=note), b""
    try:
        commit, branch = git.commit(part.folder)
        origin = replace(origin, commit=commit, branch=branch)
        patch = git.changes(part.folder, part.modules)
    except GitError as error:  # such as of a repository without a commit
        return replace(origin, note=str(error)), b""
    if len(patch) > MOST_PATCH:
        return replace(origin, note=f"what was not committed, {len(patch)} bytes, is too much for a patch"), b""
    shown = blanked(patch, secrets)
    notes = [part.found.note, "" if shown == patch else "what looks like a secret is blanked out in the patch"]
    return replace(origin, note="; ".join(filter(None, notes))), shown


def _revision(folder: Path) -> str:
    """The commit that an image was built of; empty elsewhere."""
    try:
        return (folder / REVISION).read_text().strip()
    except OSError:
        return ""
