"""Decides what runs where: reads a pipeline, compiles it to a plan, hands it to a scheduler, tells how it goes.

`submit`, `find` and `Run` are for Python, as `launcher.api` describes them. Never imports torch. Of `locat` it imports
only `config` and `contract`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.api import Run, find, submit

__all__ = ["Run", "find", "submit"]


def __getattr__(name: str) -> Any:
    """Of `launcher.api`, which is imported only now: verbs start faster without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from launcher import api

    return getattr(api, name)
