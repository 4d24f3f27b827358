"""Which of a job's checkpoints somebody means: the newest, the best, or that of a step."""

from pathlib import Path

from locat.config import TrainingConfig, load_job
from locat.contract.checkpoint_folder import best_in, complete, step_of
from locat.contract.errors import ConfigError, WeightsError
from locat.contract.job_folder import JobFolder


def choose(job: JobFolder, at: str) -> Path:
    """The complete checkpoint of a job at a step, the `best` one by its config, or where `at` is empty the newest.

    Raises:
        WeightsError: there is none; says which there are.
    """
    steps = {step_of(path): path for path in complete(job.checkpoints)}
    if not steps:
        raise WeightsError(f"{job.path} has no complete checkpoint")
    if at == "best":
        return _best(job)
    if at and int(at) not in steps:
        raise WeightsError(f"{job.path} has no checkpoint of step {at}; there are {', '.join(map(str, steps))}")
    return steps[int(at) if at else max(steps)]


def _best(job: JobFolder) -> Path:
    try:
        config = load_job(job.config)
    except ConfigError as error:
        raise WeightsError(f"{job.config} cannot be read: {error}") from error
    settings = config.checkpoints if isinstance(config, TrainingConfig) else None
    found = best_in(job.checkpoints, settings) if settings else None
    if found is None:
        raise WeightsError(f"{job.path} keeps no best checkpoint: its config has no checkpoints.best")
    return found
