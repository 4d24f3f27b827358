"""The folder of one job, and the exit codes: what stands between launcher and job.

config.yaml                 what this job trains
state.json                  attempt, pid, exit code, reason (written by the attempt runner)
attempts/newest             the attempt that may write here (locat/contract/fence.py)
attempts/<n>/rank-<r>.log   every attempt's logs stay
attempts/<n>/outcome.json   the first rank's exit code and reason, when it was not 0
attempts/<n>/attempt.json   when it began and ended (written by the attempt runner)
attempts/<n>/machine.json   on what it ran, and which code (written by the attempt runner)
attempts/<n>/usage.json     what its training spends its time on (not durable)
checkpoints/step-<n>/       complete and digested, or not there
branch/step-<n>/            of a job that goes on from another run's: that checkpoint, until the job has taken it up
metrics.jsonl               durable first, then replayed to MLflow
lifetime.json               when the job began, and its own word on how it ended
tracking.json               the job's MLflow run, and what it has of metrics.jsonl and the outputs
tracking.lock               held by who sends; its text is the key by which MLflow's run is found again
progress.json               how far the running task is (not durable)
notify/                     what is told of it, and what was (launcher/notify/notice.py)
outputs/                    what downstream jobs read by path
"""

import enum
import re
from dataclasses import dataclass
from pathlib import Path

ATTEMPT_VARIABLE = "LOCAT_ATTEMPT_DIR"
"""Environment variable: the attempt's folder, where ranks write logs and outcome. Unset when run by hand."""


class ExitCode(enum.IntEnum):
    """How a job ends, on every backend. Any other code is a failure, counted against `retries`."""

    DONE = 0
    INVALID = 2  # the configuration is wrong: never retried
    PREEMPTED = 75  # checkpointed and asks to be run again: not counted


@dataclass(frozen=True)
class JobFolder:
    """Where one job keeps what it writes."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def tracking(self) -> Path:
        return self.path / "tracking.json"

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def notify(self) -> Path:
        return self.path / "notify"

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    @property
    def figures(self) -> Path:
        return self.outputs / "figures"

    @property
    def results(self) -> Path:
        """The job's headline numbers: {"task", "model", "metrics": {name: value}}."""
        return self.outputs / "metrics.json"

    def attempt(self, number: int) -> Path:
        return self.attempts / str(number)


def rank_log(attempt: Path, rank: int) -> Path:
    """Where a rank writes its log, in its attempt's folder."""
    return attempt / f"rank-{rank}.log"


def rank_logs(attempt: Path) -> dict[Path, int]:
    """The logs that ranks have written in an attempt's folder, each with its rank."""
    found = ((log, re.fullmatch(r"rank-(\d+)\.log", log.name)) for log in attempt.glob("rank-*.log"))
    return {log: int(match[1]) for log, match in found if match}
