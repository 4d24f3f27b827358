"""What a job can do: one file per task."""

from locat.config import JobConfig
from locat.config.registry import load
from locat.contract.job_folder import JobFolder


def run_task(config: JobConfig, job: JobFolder) -> None:
    """Do the job; its task is imported only now, and others are not."""
    load(config.entry)(config, job)
