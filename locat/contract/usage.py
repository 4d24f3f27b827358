"""usage.json of an attempt's folder: what its training has spent its time on. `launcher usage` adds it up."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import records

FORMAT = 1
COMPUTING, WAITING, EVALUATING, CHECKPOINTING = "computing", "waiting_for_data", "evaluating", "checkpointing"
REPEATED = "repeated"
"""Any of the others, in steps that an earlier attempt had done and not saved."""
IDLE = "idle"
"""None of the others: a job that starts, takes up a checkpoint or ends."""
WORK = (COMPUTING, WAITING, EVALUATING, CHECKPOINTING, REPEATED)


@dataclass(frozen=True)
class UsageRecord:
    """Seconds of one attempt, as its main rank last told them."""

    step: int
    """How many steps of the training are done."""
    seconds: dict[str, float]
    """What of `WORK` it was -> seconds, by a clock that nobody sets."""
    phase: str
    """What it does since `updated`: one of `WORK`, or `IDLE`."""
    updated: float
    """Unix time."""

    @classmethod
    def read(cls, attempt: Path) -> "UsageRecord | None":
        """What an attempt told, in a newer format too; None if it told nothing, or a power failure cut it short."""
        try:
            record = records.built(cls, records.read_object(_file(attempt)))
            seconds = {phase: float(record.seconds.get(phase, 0.0)) for phase in WORK}
            if not all(math.isfinite(number) and number >= 0 for number in (*seconds.values(), float(record.updated))):
                return None
            return cls(int(record.step), seconds, str(record.phase), float(record.updated))
        except (OSError, ValueError, TypeError, AttributeError, OverflowError):
            return None

    def write(self, attempt: Path) -> None:
        """Replace what the file says. A kill leaves the old or the new; only a power failure may lose both."""
        temporary = _file(attempt).with_suffix(".tmp")
        temporary.write_text(json.dumps(records.numbered(asdict(self), FORMAT)))
        os.replace(temporary, _file(attempt))


def _file(attempt: Path) -> Path:
    return attempt / "usage.json"
