"""What other installed packages add to this one: entry points, found by group and name, loaded when they are used."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import isfunction
from pkgutil import resolve_name
from typing import Generic, TypeVar

from locat.contract.errors import UserError

Loaded = TypeVar("Loaded")
Build = TypeVar("Build", bound=Callable[..., object])
MODELS = "locat.models"
"""Group of entry points: a model's name -> the module that registers it with timm, or a function that makes it."""
FOLDER = "LOCAT_PLUGINS"
"""Variable: a folder of more plugins, laid out as installed, for a container whose image has all else."""
AUGMENTATIONS = "locat.augmentations"
"""The same: an augmentation's name -> the function that it is."""
HEADS = "locat.heads"
"""The same: a segmentation head's name -> a function that makes it."""
OPTIMIZERS = "locat.optimizers"
_MARK = "makes_one_of"


class PluginError(UserError):
    """An installed package offers something that cannot be used."""


def take_folder() -> None:
    """Find what the folder that `FOLDER` names brings, as though it were installed. What is installed comes first."""
    if folder := os.environ.get(FOLDER):
        sys.path.append(folder)


def names(group: str) -> list[str]:
    """Names that installed packages offer in a group, sorted.

    Nothing of theirs is imported. Still this takes about 0.1 s: ask only when a name is not known without.
    """
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group).names)


def load(group: str, name: str, check: Callable[[object], Loaded]) -> Loaded:
    """What the name of an entry point stands for, after `check`, which may replace or refuse it.

    Raises:
        KeyError: no installed package offers this name.
        PluginError: several do, or the import or `check` raises; names package and entry point.
    """
    from importlib.metadata import entry_points

    offers = list(entry_points(group=group, name=name))
    if not offers:
        raise KeyError(name)
    owners = [offer.dist.name if offer.dist else "an unknown package" for offer in offers]
    if len(offers) > 1:
        raise PluginError(f"{' and '.join(owners)} both offer {name!r} ({group}); use one of them alone")
    try:
        return check(offers[0].load())
    except Exception as error:  # a plugin may fail in any way
        said = next(iter(str(error).splitlines()), "")
        raise PluginError(
            f"package {owners[0]}: entry point {name} = {offers[0].value} ({group}) cannot be loaded:"
            f" {type(error).__name__}: {said}; repair or uninstall the package"
        ) from error


def model(build: Build) -> Build:
    """Mark a function of a plugin as one that makes the model of its name: timm's `register_model`, without torch."""
    setattr(build, _MARK, MODELS)
    return build


def segmentation_head(build: Build) -> Build:
    """Mark a function of a plugin as one that makes the segmentation head of its name (docs/extend/parts.md)."""
    setattr(build, _MARK, HEADS)
    return build


def augmentation(build: Build) -> Build:
    """Mark a function of a plugin as the augmentation of its name (docs/extend/parts.md)."""
    setattr(build, _MARK, AUGMENTATIONS)
    return build


def optimizer(build: Build) -> Build:
    """Mark a function of a plugin as one that makes the optimizer of its name (docs/extend/parts.md)."""
    setattr(build, _MARK, OPTIMIZERS)
    return build


def makes(found: object) -> str:
    """The group of what a function makes or is, if one of these has marked it; else empty."""
    return str(getattr(found, _MARK, "")) if isfunction(found) else ""


def function(found: object) -> Callable[..., object]:
    """A check for a registry of functions."""
    if not callable(found):
        raise TypeError("not a function")
    return found


class Registry(Mapping[str, Loaded], Generic[Loaded]):
    """What a name stands for: something of this project, or else an entry point of an installed package.

    Everything is imported when it is asked for. Looking up a name raises PluginError where an installed package does
    not keep its promise, and KeyError where none offers it.
    """

    def __init__(self, group: str, own: Mapping[str, str], check: Callable[[object], Loaded]) -> None:
        """A registry of what `check` gives for what was imported.

        Args:
            group: of the entry points of installed packages.
            own: name -> `module:object` of this project; no package can take these names.
            check: returns what the registry holds; raises TypeError for what is of no use.
        """
        self._group, self.own, self._check = group, own, check
        self._loaded: dict[str, Loaded] = {}
        self._lent: tuple[str, ...] = ()

    @property
    def built_in(self) -> dict[str, Loaded]:
        """Those of this project, whatever is installed."""
        return {name: self[name] for name in self.own}

    @property
    def installed(self) -> list[str]:
        """Names that packages bring."""
        return [name for name in sorted({*names(self._group), *self._lent}) if name not in self.own]

    def lend(self, stands_for: Mapping[str, Loaded]) -> None:
        """Take what these names stand for as installed, until `forget_installed`."""
        self._lent = tuple(stands_for)
        self._loaded.update(stands_for)

    def forget_installed(self) -> None:
        """Look for installed packages anew."""
        self._lent = ()
        self._loaded = {name: found for name, found in self._loaded.items() if name in self.own}

    def __getitem__(self, name: str) -> Loaded:
        if name not in self._loaded:
            place = self.own.get(name)
            self._loaded[name] = self._check(resolve_name(place)) if place else load(self._group, name, self._check)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Whether the name is known; imports nothing, and asks for other packages only if it is not the project's."""
        return name in self.own or name in self.installed

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.installed

    def __len__(self) -> int:
        return len(self.own) + len(self.installed)

    __hash__ = object.__hash__


def subclass_of(kind: type[Loaded], worker: str = "") -> Callable[[object], type[Loaded]]:
    """A check for a registry of classes; `worker` is the class variable that must name what does the work."""

    def check(found: object) -> type[Loaded]:
        if not (isinstance(found, type) and issubclass(found, kind)):
            raise TypeError(f"not a subclass of {kind.__module__}.{kind.__name__}")
        if worker and not getattr(found, worker):
            raise TypeError(f"has no `{worker}`, the `module:function` that does the work")
        return found

    return check
