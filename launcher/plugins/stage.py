"""A folder of links by which plugins are found as though they were installed: their modules, and what pip notes.

So they come in by the door that installed packages have, entry points (`locat.contract.plugins`): in this process, and
in jobs by the run's copy of the code, which has the same (`launcher.snapshot.take`).
"""

import importlib
import re
import sys
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from launcher.plugins import ask, staged
from launcher.plugins.named import GROUPS, BadPluginError, Offers, Plugin
from launcher.plugins.staged import INFO
from locat.config import TASKS
from locat.config.datasets import DATASETS
from locat.config.optimizer import OPTIMIZERS, REFUSED
from locat.config.segmentation import HEADS
from locat.contract import plugins as entry_points

OWN: dict[str, Collection[str]] = {
    "locat.tasks": TASKS.own,
    "locat.datasets": DATASETS.own,
    "locat.heads": HEADS,
    "locat.optimizers": {*OPTIMIZERS, *REFUSED},
}
"""Names of LocAt itself; timm answers for those of models."""


class Brought(NamedTuple):
    """A plugin and what it brings."""

    plugin: Plugin
    offers: Offers

    def __str__(self) -> str:
        kinds = {kind: ", ".join(self.offers.get(group, ())) for group, kind in GROUPS.items()}
        brings = ", ".join(f"{kind} {names}" for kind, names in kinds.items() if names)
        return f"{self.plugin.origin} is imported here and in jobs; it brings {brings or 'nothing by a name'}"


class BadStageError(Exception):
    """A plugin cannot be used."""

    def __init__(self, position: int, message: str) -> None:
        self.position = position
        """In the list of plugins."""
        super().__init__(message)


def present(plugins: Sequence[Plugin]) -> list[Brought]:
    """Take these plugins, and no others, as installed in this process.

    Raises:
        BadStageError: says of which.
    """
    if not plugins:
        staged.forget()
        return []
    found: list[Brought] = []
    position = 0
    try:
        folder = staged.begin(plugins)
        for position, plugin in enumerate(plugins):
            _link(folder, plugin, plugins[:position])
        for position, plugin in enumerate(plugins):
            brought = Brought(plugin, _new(plugin, ask.offers(folder, plugin, plugins)))
            _check_names(brought, found)
            _note(folder, position, brought)
            found.append(brought)
    except BadPluginError as error:
        staged.forget()
        raise BadStageError(position, str(error)) from error
    except OSError as error:
        staged.forget()
        where = error.filename or tempfile.gettempdir()
        raise BadStageError(position, f"cannot be laid out as installed: {where}: {error.strerror}") from error
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    return found


def _link(folder: Path, plugin: Plugin, before: Iterable[Plugin]) -> None:
    for module, place in plugin.modules.items():
        for other in before:
            if module in other.modules:
                raise BadPluginError(f"{other.origin} has a module {module!r} as well; rename one of them")
        (folder / place.name).symlink_to(place)


def _new(plugin: Plugin, offers: Offers) -> Offers:
    """Of an installed package what it does not offer itself."""
    if plugin.modules:
        return offers
    installed = {group: entry_points.names(group) for group in offers}
    return {
        group: {name: value for name, value in entries.items() if name not in installed[group]}
        for group, entries in offers.items()
    }


def _check_names(brought: Brought, others: Iterable[Brought]) -> None:
    """See that nobody else offers what a plugin brings."""
    for group, entries in brought.offers.items():
        own = OWN.get(group, ())
        installed = entry_points.names(group) if entries else []
        for name in entries:
            owners = [each.plugin.origin for each in others if name in each.offers.get(group, {})]
            owners += ["LocAt itself"] if name in own else []
            owners += ["an installed package"] if name in installed else []
            if owners:
                raise BadPluginError(f"brings the {GROUPS[group]} {name!r}, as {owners[0]} does; take one of them out")


def _note(folder: Path, position: int, brought: Brought) -> None:
    """Write what pip would. The name is no installed package's: of two of one name Python sees the first alone."""
    name = f"{re.sub('[^A-Za-z0-9_]', '_', brought.plugin.name)}.plugin{position}"
    info = folder / f"{name}{INFO}"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    groups = (f"[{group}]\n{_lines(entries)}" for group, entries in brought.offers.items())
    (info / "entry_points.txt").write_text("".join(groups))


def _lines(entries: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in entries.items())
