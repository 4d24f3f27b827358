"""Which code a job ran, by source.json of its run and machine.json of its latest attempt."""

from pathlib import Path
from typing import Any

from launcher.runs.folder import RunFolder
from locat.contract import records, source
from locat.contract.source import Machine, Source

PATCH = "patch of "
"""Begins the keys of files with what was not committed, of which each run has its own."""


def recorded(run: RunFolder) -> Source | None:
    """What a run's folder says of its code; None of an older version's run.

    Raises:
        FormatError: the record is damaged.
    """
    file = run.path / source.NAME
    with records.intact(file):
        found = Source.read(run.path)
        if found is None and file.exists():
            raise ValueError("no record of code")
        return found


def of_job(known: Source | None, machine: Machine | None) -> Source | None:
    """What a job of the run ran, or will run if no attempt of it has begun; None where that is not known."""
    return known.of(machine.code) if known and machine else known


def facts(run: RunFolder, ran: Source | None) -> dict[str, Any]:
    """What there is to say of it; nothing where it is not known."""
    if ran is None:
        return {}
    found: dict[str, Any] = {"digest": ran.digest}
    for origin in ran.origins:
        of = " and ".join(origin.modules)
        found |= {f"{key} of {of}": getattr(origin, key) or None for key in ("commit", "branch", "note")}
        found[f"{PATCH}{of}"] = str(run.path / Path(origin.patch).name) if origin.patch else None
    return found


def installed(ran: Source | None) -> dict[str, Any]:
    """Python and what was installed beside it, as recorded with the code."""
    if ran is None:
        return {}
    packages = {f"package {name}": version for name, version in ran.installed.items()}
    return {"python": ran.python, "requirements.lock": ran.lock or None, **packages}
