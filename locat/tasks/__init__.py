"""What a job can do: one file per task."""

from pkgutil import resolve_name

from locat.config import JobConfig
from locat.contract.job_folder import JobFolder
from locat.imports import uncollected


def run_task(config: JobConfig, job: JobFolder) -> None:
    """Do the job; its task is imported only now, and others are not."""
    with uncollected():
        task = resolve_name(config.entry)
    task(config, job)
