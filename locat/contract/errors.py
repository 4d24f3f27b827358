"""Errors that are reported in one line, without a traceback: the user's to mend, or nobody's fault."""

from locat.contract.job_folder import ExitCode


class UserError(Exception):
    """Something the user gave is wrong; the message names it and the remedy (exit code 2)."""

    exit_code: int = ExitCode.INVALID


class ConfigError(UserError):
    """A job config is not valid."""


class DataError(UserError):
    """A dataset file is missing, truncated, altered or of another layout than promised."""


class WeightsError(UserError):
    """Weights do not fit the model they are loaded into."""


class JobError(Exception):
    """Machine, disks or numbers failed, with nothing wrong in what the user gave: tried again (exit code 1)."""

    exit_code: int = 1


class ProgramError(JobError):
    """A program that a job runs ended badly: its exit code is the job's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Preempted(Exception):
    """The job was asked to stop and has saved what it needs to go on (exit code 75)."""

    exit_code: int = ExitCode.PREEMPTED


class Superseded(Exception):
    """A newer attempt of the job has begun: this one ends, which is not counted (exit code 75)."""

    exit_code: int = ExitCode.PREEMPTED
