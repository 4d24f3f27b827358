"""Names -> what they stand for: of this project, or of an installed package that says so by an entry point.

Installed packages are searched only for a name that the project does not have, or to list all names; what a name
stands for is imported when it is asked for.
"""

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from locat.contract.errors import UserError

Kind = TypeVar("Kind")


class Registry(Mapping[str, type[Kind]], Generic[Kind]):
    """Config classes by name; where a package uses one of the project's names, the project's own counts.

    Looking up a name raises UserError where an installed package does not keep its promise.
    """

    def __init__(self, group: str, kind: type[Kind], names: str, own: Mapping[str, str]) -> None:
        """`group` of entry points whose classes are `kind`s and name in `names` what does the work; `own` ones."""
        self.group, self._kind, self._names, self._own = group, kind, names, own

    @cached_property
    def own(self) -> dict[str, type[Kind]]:
        """Those of this project, whatever is installed."""
        return {name: load(place) for name, place in self._own.items()}

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        found = sorted(entry_points(group=self.group), key=lambda each: each.name)
        return {each.name: each for each in found if each.name not in self._own}

    def __getitem__(self, name: str) -> type[Kind]:
        if name in self._own:
            return self.own[name]
        entry = self._installed[name]
        try:
            found = entry.load()
        except Exception as error:
            raise self._broken(entry, f"cannot be imported ({type(error).__name__}: {error})") from error
        if not (isinstance(found, type) and issubclass(found, self._kind)):
            raise self._broken(entry, f"is no subclass of {self._kind.__module__}.{self._kind.__name__}")
        if not getattr(found, self._names):
            raise self._broken(entry, f"has no `{self._names}`, the `module:function` that does the work")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._own or (isinstance(name, str) and name in self._installed)

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._installed

    def __len__(self) -> int:
        return len(self._own) + len(self._installed)

    __hash__ = object.__hash__

    def _broken(self, entry: EntryPoint, what: str) -> UserError:
        package = entry.dist.name if entry.dist else "an installed package"
        promise = f"{self.group}: {entry.name} = {entry.value}"
        return UserError(f"{package}: its entry point `{promise}` {what}; mend or uninstall {package}")


def load(place: str) -> Any:
    """What `module:name` stands for."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
