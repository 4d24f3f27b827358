"""Config classes by name: of this project, or of an installed package that says so by an entry point.

Installed packages are searched only for a name that the project does not have, or to list all names; a class is
imported when it is asked for.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pkgutil import resolve_name
from typing import Generic, TypeVar

from locat.contract import plugins

Kind = TypeVar("Kind")


class Registry(Mapping[str, type[Kind]], Generic[Kind]):
    """Where a package uses one of the project's names, the project's own counts.

    Looking up a name raises PluginError where an installed package does not keep its promise.
    """

    def __init__(self, group: str, kind: type[Kind], worker: str, places: Mapping[str, str]) -> None:
        """A registry of `kind`s, each of which says in its class variable `worker` what does the work.

        Args:
            group: of the entry points of installed packages.
            places: name -> `module:class` of this project's own.
        """
        self._group, self._kind, self._worker, self._places = group, kind, worker, places

    @cached_property
    def built_in(self) -> dict[str, type[Kind]]:
        """Those of this project, whatever is installed."""
        return {name: self._checked(resolve_name(place)) for name, place in self._places.items()}

    @cached_property
    def installed(self) -> list[str]:
        """Names that packages bring."""
        return [name for name in plugins.names(self._group) if name not in self._places]

    def __getitem__(self, name: str) -> type[Kind]:
        if name in self._places:
            return self.built_in[name]
        return plugins.load(self._group, name, self._checked)

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self.installed

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from self.installed

    def __len__(self) -> int:
        return len(self._places) + len(self.installed)

    __hash__ = object.__hash__

    def _checked(self, found: object) -> type[Kind]:
        if not (isinstance(found, type) and issubclass(found, self._kind)):
            raise TypeError(f"not a subclass of {self._kind.__module__}.{self._kind.__name__}")
        if not getattr(found, self._worker):
            raise TypeError(f"has no `{self._worker}`, the `module:function` that does the work")
        return found
