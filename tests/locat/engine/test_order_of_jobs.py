"""A job keeps the order that it began with, whatever new jobs take: in an older checkpoint too, and to the bit."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from locat.config import SupervisedConfig
from locat.contract.checkpoint_folder import MANIFEST, complete
from locat.contract.job_folder import JobFolder
from locat.data import order
from locat.data.batch import Batch
from locat.data.order import OrderKind, epoch_order
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.loop import Training
from locat.tasks.classification.supervised import Supervised
from support import training

pytestmark = pytest.mark.slow

SAMPLES, BATCH, STEPS = 96, 24, 8


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with join_ranks() as group:
        yield group


def train(folder: Path, data: dict[str, str], ranks: Ranks, until: int = STEPS) -> tuple[list[list[int]], str]:
    """Train a job to its end, or to where it is killed; the samples of each batch, and the weights in the end."""
    config = SupervisedConfig(**training.supervised(data, epochs=2, strategy="ddp", checkpoints={"every_steps": 3}))
    job, seen = JobFolder(folder), list[list[int]]()
    job.path.mkdir(exist_ok=True)
    torch.manual_seed(0)
    task = Supervised(config, job, ranks)

    def update(self: Training, batch: Batch) -> None:
        if self.position.step == until:
            raise Stopped
        seen.append(batch.index.tolist())
        original(self, batch)

    original = Training._update
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(Training, "_update", update)
        run = Training(task, config, job, ranks, stack)
        try:
            run.run()
        except Stopped:
            run.wait_for_checkpoint()
        weights = run.strategy.full_weights()
    return seen, str({name: weight.double().sum().item() for name, weight in weights.items()})


def batches(kind: OrderKind) -> list[list[int]]:
    return [
        part.tolist()
        for epoch in range(2)
        for part in epoch_order(kind, SAMPLES, 0, epoch)(0, SAMPLES).reshape(-1, BATCH)
    ]


@pytest.mark.parametrize("kind", list(OrderKind))
def test_a_job_keeps_its_order(
    kind: OrderKind, data: dict[str, str], ranks: Ranks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its checkpoint of step 3, in the middle of the first epoch; then new jobs take the other order."""
    limits = {OrderKind.SORTED: SAMPLES, OrderKind.COMPUTED: SAMPLES - 1}
    monkeypatch.setattr(order, "LARGEST_SORTED", limits[kind])
    whole, expected = train(tmp_path / "whole", data, ranks)
    assert whole == batches(kind)
    train(tmp_path / "killed", data, ranks, until=5)
    (saved,) = complete(JobFolder(tmp_path / "killed").checkpoints)
    values = json.loads((saved / MANIFEST).read_text())
    assert (values["format"], values["position"].pop("order")) == (kind, kind)
    if kind is OrderKind.SORTED:  # older versions did not say which, and knew one
        (saved / MANIFEST).write_text(json.dumps(values))
    monkeypatch.setattr(order, "LARGEST_SORTED", limits[next(other for other in OrderKind if other is not kind)])
    rest, found = train(tmp_path / "killed", data, ranks)
    assert (rest, found) == (whole[3:], expected)
