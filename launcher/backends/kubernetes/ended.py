"""How jobs ended, kept with the run: their JobSets may be deleted then. One file: a run may have a thousand jobs."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from launcher.run_folder import RunFolder
from launcher.state import JobState
from locat import durable


def recorded(run: RunFolder) -> dict[str, JobState]:
    """What was seen of each job that has ended, by its name."""
    try:
        states = json.loads(_file(run).read_text())
    except FileNotFoundError:
        return {}
    return {name: JobState.from_json(values) for name, values in states.items()}


def record(run: RunFolder, states: Mapping[str, JobState]) -> None:
    """Replace all that is recorded."""
    durable.write_json(_file(run), {name: asdict(state) for name, state in states.items()})


def _file(run: RunFolder) -> Path:
    return run.path / "ended.json"
