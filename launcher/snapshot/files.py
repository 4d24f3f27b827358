"""Which files of modules belong to them: what git tracks or would take, and what was compiled of it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.snapshot import git
from launcher.snapshot.git import GitError

LIBRARY = ".so"
"""Compiled code is ignored by git as a rule, and imported or loaded all the same."""
NUMBA = (".nbi", ".nbc")
"""What numba keeps beside the code (locat/data/compiled.py), so that a job need not compile for seconds."""
CACHE = "__pycache__"


@dataclass(frozen=True)
class Found:
    """Files of modules in one folder, by their paths from there."""

    names: tuple[str, ...]
    aside: tuple[str, ...]
    """What only saves time."""
    is_checkout: bool
    note: str = ""
    """Why git was not asked, if it should have been."""


def find(folder: Path, modules: Sequence[str]) -> Found:
    """The files of these modules, each a file or a folder in `folder`."""
    note = ""
    try:
        listed = git.files(folder, modules)
    except GitError as error:
        listed = None
        note = "" if "not a git repository" in str(error) else str(error)
    names, compiled, aside = set[str](), set[str](), set[str]()
    for name in (each for module in modules for each in _walk(folder, module)):
        parts = name.split("/")
        if name.endswith(LIBRARY):
            compiled.add(name)
        elif name.endswith(NUMBA):
            aside.add(name)
        elif CACHE not in parts and not any(part.startswith(".") or part.endswith(".egg-info") for part in parts):
            names.add(name)
    if listed is not None:
        names = {each for name in listed for each in _walk(folder, name)}
    return Found(tuple(sorted(names | compiled)), tuple(sorted(aside)), listed is not None, note)


def _walk(folder: Path, name: str) -> Iterator[str]:
    """A file, or all files of a folder, by their paths from `folder`; nothing of what is gone or is neither."""
    path = folder / name
    if path.is_file():
        yield name
        return
    for at, folders, files in os.walk(path):
        folders[:] = [each for each in folders if each != ".git"]
        within = os.path.relpath(at, folder)
        yield from (f"{within}/{each}" for each in files if os.path.isfile(f"{at}/{each}"))
