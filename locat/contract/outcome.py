"""How a rank leaves exit code and reason for the attempt runner: torchrun turns every code into 1."""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import filesystem, records
from locat.contract.errors import JobError, Preempted, Superseded, UserError
from locat.contract.job_folder import ATTEMPT_VARIABLE

FORMAT = 1
TOLD = (UserError, JobError, Preempted, Superseded)
"""What one line tells; anything else is a failure whose traceback is wanted."""


@dataclass(frozen=True)
class Outcome:
    """outcome.json of an attempt's folder: how the first rank ended that did not end well."""

    exit_code: int
    reason: str = ""

    @classmethod
    def read(cls, attempt: Path) -> "Outcome | None":
        """What a rank of this attempt left, in a newer format too; None if none did, or was killed as it wrote."""
        try:
            return records.built(cls, records.read_object(_file(attempt)))
        except (FileNotFoundError, ValueError):
            return None


def attempt_folder() -> Path | None:
    """The attempt's folder; None where the job runs by hand."""
    return Path(os.environ[ATTEMPT_VARIABLE]) if ATTEMPT_VARIABLE in os.environ else None


def outcome_of(error: Exception) -> tuple[int, str]:
    """Exit code and reason of a job that an exception ends."""
    if isinstance(error, TOLD):
        return error.exit_code, str(error)
    return 1, f"{type(error).__name__}: {error}"


def write_outcome(code: int, reason: str) -> None:
    """Leave exit code and reason; the first rank to fail is the one that knows why. A full disk takes no note."""
    attempt = attempt_folder()
    if attempt is None:
        return
    with contextlib.suppress(OSError):
        text = json.dumps(records.numbered(asdict(Outcome(code, reason)), FORMAT))
        filesystem.write_once(_file(attempt), text.encode())


def _file(attempt: Path) -> Path:
    return attempt / "outcome.json"
