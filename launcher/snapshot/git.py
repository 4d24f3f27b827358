"""What git knows of a folder: its files, its commit, and what was changed since. Without git, or outside of a checkout,
nothing is known, and that is no error."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT = 20.0
"""Seconds git may take."""
OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
DIFF = ("diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


class GitError(Exception):
    """git is not here, fails, or does not answer."""


def files(folder: Path, modules: Sequence[str]) -> list[str] | None:
    """Files of these modules that git tracks, or would take: not those it ignores. None outside of a checkout.

    Paths are from `folder`. Some may have been deleted, and one that is a folder is another repository.
    """
    listed = ask(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *modules)
    # An environment that lies within a checkout is ignored by it, and is none itself.
    return sorted(set(filter(None, listed.split("\0")))) or None


def commit(folder: Path) -> tuple[str, str]:
    """The commit that is checked out, and its branch; that is empty where there is none."""
    number, branch = ask(folder, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").split("\n")[:2]
    return number, "" if branch == "HEAD" else branch


def changes(folder: Path, modules: Sequence[str]) -> bytes:
    """A patch that makes the modules of the commit those of the folder, new files included; `git apply` takes it.

    Raises:
        GitError: says what git said, or why its index cannot be copied.
    """
    new = ask(folder, "ls-files", "-z", "--others", "--exclude-standard", "--", *modules)
    if not new:
        return _ask(folder, [*DIFF, "HEAD", "--", *modules])
    # To git a new file is a change once its index knows the name: a copy of the index, which goes again. The checkout
    # may be one that nothing can be written to.
    index, objects = (folder / _path(folder, name) for name in ("index", "objects"))
    try:
        with tempfile.TemporaryDirectory(prefix="locat-") as private:
            shutil.copyfile(index, Path(private) / "index")
            variables = {"GIT_INDEX_FILE": f"{private}/index"}
            variables |= {"GIT_OBJECT_DIRECTORY": private, "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects)}
            add = ["add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"]
            _ask(folder, add, new.encode(errors="surrogateescape"), variables)
            return _ask(folder, [*DIFF, "HEAD", "--", *modules], b"", variables)
    except OSError as error:
        raise GitError(f"the index of git cannot be copied: {error.strerror}") from error


def _path(folder: Path, name: str) -> str:
    """Where a file of the repository lies, perhaps from `folder`."""
    return ask(folder, "rev-parse", "--git-path", name).rstrip("\n")


def ask(folder: Path, *words: str) -> str:
    """What git answers in a folder.

    Raises:
        GitError: says what git said.
    """
    return os.fsdecode(_ask(folder, words))


def _ask(folder: Path, words: Sequence[str], text: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
    # A hook of git's, or a shell prepared for another repository, must not bend what is asked.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **(variables or {})}
    try:
        answer = subprocess.run(
            ["git", *OPTIONS, *words], cwd=folder, env=environment, input=text, capture_output=True, timeout=TIMEOUT
        )
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git gave no answer within {TIMEOUT:g} s") from error
    if answer.returncode:
        said = answer.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(said[0] if said else f"git {words[0]}: exit code {answer.returncode}")
    return answer.stdout
