"""What `plugins:` names, and which modules that is: a file, a folder or an installed package. Nothing is imported."""

import keyword
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.snapshot import modules
from locat.contract.errors import UserError
from locat.contract.tracking_uri import located_path

GROUPS = {
    "locat.tasks": "task",
    "locat.datasets": "dataset",
    "locat.models": "model",
    "locat.augmentations": "augmentation",
    "locat.heads": "segmentation head",
    "locat.optimizers": "optimizer",
}
"""Groups of entry points that a plugin may bring, each with what a name of it is."""
Offers = dict[str, dict[str, str]]
"""Group -> name -> `module:object`, as entry points have it."""
OWN = ("launcher", "locat")
_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_VALUE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(:\s*[A-Za-z_][\w.]*)?\s*", re.ASCII)


class BadPluginError(UserError):
    """What is named is no plugin, or cannot be used; says of neither pipeline nor key."""


@dataclass(frozen=True)
class Plugin:
    """One entry of `plugins:`."""

    origin: str
    """Absolute path of the file or folder, or the name of an installed package."""
    name: str
    """What messages and the run's record of packages call it."""
    modules: Mapping[str, Path]
    """Top-level module -> the file or folder that it is; none of an installed package."""
    module: str
    """What is imported to see what it brings; empty where `declared` says that."""
    declared: Offers
    """What its pyproject.toml says that it brings."""


def read(written: str, folder: Path | None) -> Plugin:
    """The plugin that an entry names; relative paths are from `folder`.

    Raises:
        BadPluginError: there is none, or its modules would take the place of others.
    """
    try:
        return _read(written, Path(os.path.abspath(located_path(Path(written), folder))))
    except ValueError as error:
        raise BadPluginError(str(error)) from error
    except OSError as error:
        raise BadPluginError(f"{written!r}: cannot be looked at: {error.strerror}") from error


def _read(written: str, path: Path) -> Plugin:
    """The same by its absolute path; `OSError` where that cannot be looked at."""
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".py" and path.is_file():
        return _module(path, path.stem)
    if path.exists():
        raise BadPluginError(f"{written!r}: no plugin; give a .py file or a folder")
    if _PACKAGE.fullmatch(written) and not written.endswith(".py"):
        return _installed(written)
    raise BadPluginError(f"{written!r}: no such file or folder")


def _module(path: Path, name: str) -> Plugin:
    """A file, or a folder that is a package."""
    return Plugin(str(path), name, {name: _checked(name, path)}, name, {})


def _folder(folder: Path) -> Plugin:
    declared = _declared(folder / "pyproject.toml")
    if not declared:
        if (folder / "__init__.py").is_file():
            return _module(folder, folder.name)
        raise BadPluginError(
            f"{folder}: a folder must have __init__.py, or a pyproject.toml with entry points of LocAt; else name the"
            " .py files in it"
        )
    values = [value for entries in declared.values() for value in entries.values()]
    places = {}
    for top in dict.fromkeys(value.partition(":")[0].strip().partition(".")[0] for value in values):
        candidates = [root / name for root in (folder / "src", folder) for name in (top, f"{top}.py")]
        place = next((each for each in candidates if each.is_dir() or (each.suffix == ".py" and each.is_file())), None)
        if place is None:
            raise BadPluginError(f"{folder / 'pyproject.toml'}: there is no module {top!r} in {folder}, which it names")
        places[top] = _checked(top, place)
    return Plugin(str(folder), folder.name, places, "", declared)


def _declared(file: Path) -> Offers:
    """What a pyproject.toml says that a package brings to LocAt; nothing without the file."""
    import tomllib  # only some pipelines have plugins

    if not file.is_file():
        return {}
    try:
        groups = tomllib.loads(file.read_text()).get("project", {}).get("entry-points", {})
        found = {group: dict(groups[group]) for group in GROUPS if group in groups}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BadPluginError(f"{file}: cannot be read: {error}") from error
    for group, entries in found.items():
        for name, value in entries.items():
            if not (isinstance(value, str) and _VALUE.fullmatch(value)) or "\n" in name or "=" in name:
                raise BadPluginError(f"{file}: entry point {name!r} of {group}: expected module:object, got {value!r}")
    return found


def _installed(name: str) -> Plugin:
    top = name.partition(".")[0]
    if not modules.places(top) or top in (*OWN, *sys.stdlib_module_names):
        raise BadPluginError(f"{name!r}: no such file or folder, and no installed package is called so")
    return Plugin(name, name, {}, name, {})


def _checked(name: str, place: Path) -> Path:
    """The place of a module, if nothing else would be imported by its name, or no longer be."""
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
        raise BadPluginError(f"{place}: no module is called {name!r}; a name is of letters, digits and '_'")
    resolved = place.resolve()
    if resolved.name != place.name:
        raise BadPluginError(f"{place}: is a link to {resolved}, which has another name; name that one")
    owner = "LocAt" if name in OWN else "Python" if name in sys.stdlib_module_names else ""
    taken = f"{owner}'s own" if owner else next((str(each) for each in _installed_as(name) if each != resolved), "")
    if taken:
        raise BadPluginError(f"{place}: would take the place of {taken}, which is imported as {name!r}; rename it")
    return resolved


def _installed_as(name: str) -> list[Path]:
    """Where the installed module of a name lies. A folder that is none, and happens to be on the path, is no module."""
    return [place for place in modules.places(name) if place.is_file() or (place / "__init__.py").is_file()]
