"""What this process has as though it were installed: the state alone, for those that must not wait for the rest."""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.plugins.named import Plugin

INFO = "-0.dist-info"
"""How the name of a folder ends that says of a plugin what it brings."""


class _State:
    folder: "TemporaryDirectory[str] | None" = None
    plugins: "Sequence[Plugin]" = ()
    has_names: bool = False
    """Whether tasks and datasets may be known that are not once all is forgotten."""


def begin(plugins: "Sequence[Plugin]") -> Path:
    """An empty folder for these, in the place of all earlier ones."""
    forget()
    expect_names()
    _State.folder, _State.plugins = TemporaryDirectory(prefix="locat-plugins-"), tuple(plugins)
    _drop_modules()  # a notebook may have imported what has been edited since
    return Path(_State.folder.name)


def origins() -> tuple[str, ...]:
    """What is there now, as a plan names it."""
    return tuple(plugin.origin for plugin in _State.plugins)


def places() -> dict[str, Path]:
    """Top-level module -> the file or folder that it is, of all that is there now."""
    return {name: place for plugin in _State.plugins for name, place in plugin.modules.items()}


def expect_names() -> None:
    """Say that names will be looked up that `forget` has to take back."""
    _State.has_names = True


def notes() -> dict[str, Path]:
    """Path within a copy of the code -> file: what says there of the plugins what they bring."""
    if _State.folder is None:
        return {}
    folder = Path(_State.folder.name)
    return {str(file.relative_to(folder)): file for file in folder.glob(f"*{INFO}/*")}


def forget() -> None:
    """Take none as installed any more."""
    if _State.has_names:
        from locat.config import forget_installed  # a third of the time that a verb takes

        forget_installed()
        _State.has_names = False
    if _State.folder is None:
        return
    _drop_modules()
    sys.path[:] = [entry for entry in sys.path if entry != _State.folder.name]
    _State.folder.cleanup()
    _State.folder, _State.plugins = None, ()


def _drop_modules() -> None:
    """Have the modules of the plugins imported anew."""
    names = {name for plugin in _State.plugins for name in plugin.modules}
    for module in [each for each in sys.modules if each.partition(".")[0] in names]:
        del sys.modules[module]
