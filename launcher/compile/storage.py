"""Storage as the plan has it."""

from launcher.language.model import Storage
from launcher.plan import Volume


def volumes(storage: dict[str, Storage]) -> tuple[Volume, ...]:
    """The plan's form of `storage`, by mount path."""
    return tuple(
        Volume(mount, given.path or mount, given.claim or "", given.read_only, given.volume)
        for mount, given in sorted(storage.items())
    )
