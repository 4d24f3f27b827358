"""Whether and how a job is tracked; the work is done in locat/engine/tracking/sender.py."""

from collections.abc import Iterator
from contextlib import contextmanager

from locat.config import JobConfig
from locat.contract.errors import Preempted
from locat.contract.job_folder import JobFolder
from locat.engine.tracking.sender import Tracker


@contextmanager
def tracked(job: JobFolder, config: JobConfig, is_main: bool) -> Iterator[None]:
    """Keep the job's MLflow run while the body runs; its end tells how the body ended. Main rank only."""
    if config.tracking is None or not is_main:
        yield
        return
    tracker = Tracker(job, config, config.tracking)
    try:
        yield
    except Preempted:
        tracker.finish("KILLED")
        raise
    except BaseException:
        tracker.finish("FAILED")
        raise
    tracker.finish("FINISHED")
