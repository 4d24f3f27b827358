"""What other installed packages add to this one: entry points, found by group and name, loaded when they are used."""

from collections.abc import Callable
from typing import TypeVar

from locat.contract.errors import UserError

Loaded = TypeVar("Loaded")


class PluginError(UserError):
    """An installed package offers something that cannot be used."""


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
        raise PluginError(f"{' and '.join(owners)} both offer {name!r} ({group}); uninstall one of them")
    try:
        return check(offers[0].load())
    except Exception as error:  # a plugin may fail in any way
        said = next(iter(str(error).splitlines()), "")
        raise PluginError(
            f"package {owners[0]}: entry point {name} = {offers[0].value} ({group}) cannot be loaded:"
            f" {type(error).__name__}: {said}; repair or uninstall the package"
        ) from error
