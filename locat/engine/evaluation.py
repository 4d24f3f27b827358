"""Evaluation without training: a task says what it measures, this does the rest."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from locat.config import JobConfig
from locat.contract import durable
from locat.contract.errors import Preempted
from locat.contract.job_folder import JobFolder
from locat.data.batch import Batch
from locat.data.reader import Reader
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.progress import Progress
from locat.engine.stopping import Stopping
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog

logger = logging.getLogger(__name__)


class Watch:
    """Shows how far reading is, and ends it where some rank is asked to stop."""

    def __init__(self, job: JobFolder, ranks: Ranks) -> None:
        self.job, self.ranks = job, ranks
        self.stopping = Stopping(ranks)

    def batches(self, reader: Reader, phase: str) -> Iterator[Batch]:
        """This rank's batches that are not empty, once through the set; `phase` says what for.

        Every rank goes through all of them, since the ranks agree after each batch.

        Raises:
            Preempted: some rank was asked to stop.
            Superseded: a newer attempt of the job has begun.
        """
        total, shown, memory = reader.batches_per_epoch, self.ranks.is_main, self.ranks.gpu_memory
        with Progress(self.job, phase, total, "batch", shown=shown, memory=memory) as progress:
            for number, (batch, _) in enumerate(reader.batches(), 1):
                if len(batch):
                    yield batch
                progress.advance_to(number)
                if self.stopping.is_asked():
                    raise Preempted("asked to stop; there is nothing to save")


class Evaluation(ABC):
    """What is measured of a frozen model. A job that is stopped begins anew."""

    @abstractmethod
    def measure(self, watch: Watch) -> dict[str, float]:
        """Metrics in percent; every rank calls it, reads by `watch.batches`, and gets the same."""

    @abstractmethod
    def export(self, metrics: dict[str, float]) -> None:
        """Write the job's outputs into their folder, which is there, `metrics.json` last. Main rank only."""


def run_evaluation(make_evaluation: Callable[[Ranks], Evaluation], config: JobConfig, job: JobFolder) -> None:
    """Join the ranks, keep the MLflow run, measure and export; nothing where the job is done already."""
    if job.results.exists():
        logger.info("%s exists: this job is done already", job.results)
        return
    with join_ranks() as ranks, tracked(job, config, ranks.is_main):
        watch = Watch(job, ranks)
        evaluation = make_evaluation(ranks)
        metrics = evaluation.measure(watch)
        watch.stopping.halt_if_superseded()
        if ranks.is_main:
            MetricLog(job.metrics).append(0, {f"val/{name}": value for name, value in metrics.items()})
            logger.info(", ".join(f"{name} {value:.2f}" for name, value in metrics.items()))
            durable.make_folder(job.outputs, within=job.path)
            evaluation.export(metrics)
        ranks.barrier()
