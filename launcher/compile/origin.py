"""Where the user wrote what is wrong in a config that references and short forms have changed since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.compile.matrix import Instance
from locat.contract.problems import KeyPath, dotted


@dataclass(frozen=True)
class Origins:
    """Of the config of one instance."""

    job: KeyPath
    """Its job's place in the pipeline."""
    written: Mapping[str, tuple[KeyPath, Any]]
    """Key of the config -> where it was written, and what."""
    resolved: Mapping[str, Any]
    """Key of the config -> what became of that."""
    upstream: Mapping[str, Sequence[Instance]]
    """Job -> its instances that references of this one stand for."""

    def find(self, loc: KeyPath) -> tuple[KeyPath, str]:
        """Where the user wrote what became `loc` of the config, and the reference it came from, if any."""
        if loc[:1] == ("tracking",):
            return ("tracking", "uri"), ""
        if not loc or loc[0] not in self.written:
            return (*self.job, "config", *loc), ""
        key, inner = str(loc[0]), loc[1:]
        path, value = self.written[key]
        found = self.resolved[key]
        # Ends at what was written whole: a reference, a short form, a list that references made longer.
        while inner and isinstance(value, dict | list) and len(value) == len(found):
            path = (*path, inner[0])
            value, found = _child(value, inner[0]), _child(found, inner[0])
            inner = inner[1:]
        return path, self._reference(value, inner)

    def _reference(self, value: Any, inner: KeyPath) -> str:
        """The end of a message about what came from a reference: which one, and what it stands for."""
        if not isinstance(value, str) or "${" not in value:
            return ""
        several = [
            f"{job}: {', '.join(found.name for found in instances[:4])}{', ...' if len(instances) > 4 else ''}"
            for job, instances in self.upstream.items()
            if len(instances) > 1 and f"${{jobs.{job}." in value
        ]
        inside = f"{dotted(inner)} of " if inner else ""
        which = f", with several instances of {'; '.join(several)}" if several else ""
        return f" (from {inside}{value}{which})"


def _child(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(key, int) and key < len(value) else None
