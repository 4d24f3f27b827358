"""Which modules jobs import that somebody may edit: the project's own, and those of plugins that lie outside of
site-packages. And what else is installed."""

import importlib.util
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import locat
from launcher import interpreter

GROUP = re.compile(r"^\s*\[\s*(locat|launcher)\.", re.MULTILINE)
"""A group of entry points by which a package brings something (`locat.contract.plugins`)."""
VALUE = re.compile(r"^[^\[#;=]+=\s*(\w+)", re.MULTILINE)
"""Of an entry point `name = package.module:object`: the package."""


@dataclass(frozen=True)
class Installed:
    """What lies on this process's path, by the folders that installers leave beside it."""

    versions: dict[str, str]
    """Package -> version."""
    plugins: tuple[str, ...]
    """Top-level modules of packages that bring something to this one."""


def installed() -> Installed:
    """Look at `sys.path`. By hand: importlib.metadata takes ten times as long, of every submission."""
    versions: dict[str, str] = {}
    plugins: dict[str, None] = {}
    for folder in sys.path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            package, _, version = name.rpartition(".")[0].partition("-")
            if package not in versions:
                versions[package] = version
                plugins.update(dict.fromkeys(_modules(Path(folder, name))))
    return Installed(dict(sorted(versions.items(), key=lambda each: each[0].lower())), tuple(plugins))


def _modules(info: Path) -> Iterator[str]:
    """Top-level modules of a package, if it brings something to this one."""
    try:
        text = (info / "entry_points.txt").read_text(errors="replace")
    except OSError:
        return
    if GROUP.search(text):
        yield from VALUE.findall(text)
        top_level = info / "top_level.txt"
        if top_level.is_file():
            yield from top_level.read_text(errors="replace").split()


def editable(plugins: tuple[str, ...]) -> list[Path]:
    """The files and folders of the project's modules, and of these plugins' that are not in site-packages."""
    found = [interpreter.HOME / "launcher", Path(locat.__file__).resolve().parent]
    for name in plugins:
        found += [place for place in places(name) if place not in found and not _is_in_site_packages(place)]
    return found


def places(module: str) -> list[Path]:
    """Where a top-level module lies; nothing is imported for that."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):  # who imports it will be told
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(place).resolve() for place in spec.submodule_search_locations if os.path.isdir(place)]
    return [Path(spec.origin).resolve()] if spec.has_location and spec.origin else []


def _is_in_site_packages(place: Path) -> bool:
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    folders |= {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    return any(Path(folder).resolve() in place.parents for folder in folders)
