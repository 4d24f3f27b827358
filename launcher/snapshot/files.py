"""Which files of modules belong to them: what git tracks or would take, and compiled modules; and what saves time."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.snapshot import git
from launcher.snapshot.git import GitError

LIBRARY = ".so"
"""A compiled module is ignored by git as a rule, and imported all the same."""
CACHE = "__pycache__"
KEPT = (LIBRARY, ".nbi", ".nbc")
"""What our own code keeps there by names that say of what it was compiled (locat/models/kernels/compiled/build.py,
locat/data/compiled.py). It is no part of the code: a job finds it, or compiles for seconds."""


@dataclass(frozen=True)
class Found:
    """Files of modules in one folder, by their paths from there."""

    names: tuple[str, ...]
    aside: tuple[str, ...]
    """What only saves time."""
    is_checkout: bool
    note: str = ""
    """Why git was not asked, if it should have been, or of what it knows nothing."""


def find(folder: Path, modules: Sequence[str]) -> Found:
    """The files of these modules, each a file or a folder in `folder`. One that git ignores is taken as it is."""
    note = ""
    try:
        listed = git.files(folder, modules)
    except GitError as error:
        listed = None
        note = "" if "not a git repository" in str(error) else str(error)
    known = {name.partition("/")[0] for name in listed or ()}
    if known and (ignored := [module for module in modules if module not in known]):
        note = f"{', '.join(ignored)}: ignored by git, and in no commit or patch"
    names, aside = set[str](), set[str]()
    for name in (each for module in modules for each in walk(folder, module)):
        parts = name.split("/")
        if CACHE in parts:
            if name.endswith(KEPT):
                aside.add(name)
        elif (parts[0] not in known or name.endswith(LIBRARY)) and not _is_of_tools(parts):
            names.add(name)
    for each in listed or ():
        names.update(name for name in walk(folder, each) if CACHE not in name.split("/"))
    return Found(tuple(sorted(names)), tuple(sorted(aside)), listed is not None, note)


def _is_of_tools(parts: Sequence[str]) -> bool:
    """Whether a path leads to what tools keep: environments, settings, what an installation left."""
    return any(part.startswith(".") or part.endswith(".egg-info") for part in parts)


def walk(folder: Path, name: str) -> Iterator[str]:
    """A file, or all files of a folder, by their paths from `folder`; nothing of what is gone or is neither."""
    path = folder / name
    if path.is_file():
        yield name
        return
    for at, folders, files in os.walk(path):
        folders[:] = [each for each in folders if each != ".git"]
        within = os.path.relpath(at, folder)
        yield from (f"{within}/{each}" for each in files if os.path.isfile(f"{at}/{each}"))
