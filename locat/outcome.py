"""How a rank leaves exit code and reason for the attempt runner: torchrun turns every code into 1."""

import contextlib
import json
import os
import tempfile
from pathlib import Path

from locat.job_folder import ATTEMPT_VARIABLE


def attempt_folder() -> Path | None:
    """The attempt's folder; None where the job runs by hand."""
    return Path(os.environ[ATTEMPT_VARIABLE]) if ATTEMPT_VARIABLE in os.environ else None


def write_outcome(code: int, reason: str) -> None:
    """Leave exit code and reason; the first rank to fail is the one that knows why. A full disk takes no note."""
    attempt = attempt_folder()
    if attempt is None:
        return
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile("w", dir=attempt, prefix=".outcome.") as file:
        json.dump({"exit_code": code, "reason": reason}, file)
        file.flush()
        os.link(file.name, attempt / "outcome.json")
