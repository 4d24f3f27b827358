"""Evaluation without training: what every such job does around what it measures."""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from locat.config import KnnConfig
from locat.contract.errors import Preempted
from locat.contract.job_folder import JobFolder
from locat.data.batch import Batch, PendingBatch
from locat.data.datasets.base import Contents
from locat.data.position import Position
from locat.data.reader import Reader, ReadSettings
from locat.engine.distributed import join_ranks
from locat.engine.evaluation import Evaluation, Watch, run_evaluation
from support import training


class Numbers(PendingBatch):
    """A batch of nothing but the samples' numbers."""

    def allocate(self) -> None:
        pass

    def fill(self, first: int, last: int) -> None:
        pass

    def finish(self) -> Batch:
        index = torch.from_numpy(self.samples)
        return Batch((index,), index, index)


class FiveSamples(Reader):
    """Two batches of two samples, an empty one, and one of one."""

    def __init__(self) -> None:
        contents = Contents(5, (), (), 32, "numbers", 0, {})
        super().__init__(Path("numbers.beton"), ReadSettings(2), contents, 4)

    def own_samples(self, start: Position) -> Sequence[NDArray[np.int64]]:
        return [np.array(samples, np.int64) for samples in ([0, 1], [2, 3], [], [4])]

    def pending(self, samples: NDArray[np.int64], position: Position, after: Position) -> Numbers:
        return Numbers(samples, after)


class Counted(Evaluation):
    """Measures how many samples came."""

    def __init__(self, job: JobFolder) -> None:
        self.job = job

    def measure(self, watch: Watch) -> dict[str, float]:
        self.sizes = [len(batch) for batch in watch.batches(FiveSamples(), "counting")]
        return {"top1": float(sum(self.sizes))}

    def export(self, metrics: dict[str, float]) -> None:
        self.job.results.write_text(f"{self.sizes} {metrics}")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A job in this process would keep the signals that end a test run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_measures_logs_and_exports_once(tmp_path: Path) -> None:
    data = {"train": "train.beton", "val": "val.beton"}
    config, job = KnnConfig.model_validate({"task": "knn", "backbone": "b", "data": data}), JobFolder(tmp_path)
    run_evaluation(lambda ranks: Counted(job), config, job)
    assert job.results.read_text() == "[2, 2, 1] {'top1': 5.0}"
    assert training.metrics(tmp_path, "val/top1") == {0: 5.0}

    def never(ranks: object) -> Evaluation:
        raise AssertionError("a job that was done began again")

    run_evaluation(never, config, job)


def test_asked_to_stop_it_gives_way_after_the_batch(tmp_path: Path) -> None:
    with join_ranks() as ranks:
        watch = Watch(JobFolder(tmp_path), ranks)
        batches = watch.batches(FiveSamples(), "counting")
        assert len(next(batches)) == 2
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Preempted, match="nothing to save"):
            next(batches)
