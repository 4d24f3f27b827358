"""Which evaluation is reported, and that a checkpoint keeps it."""

import logging
from unittest.mock import Mock

import pytest
import torch

from locat.data.position import Position
from locat.engine.best import Best
from locat.engine.checkpoints.checkpoints import Restored
from locat.engine.early_stop import EarlyStop
from locat.engine.loop import DROPPED, Training

EPOCHS = [
    {"top1": 50.0, "top5": 90.0},
    {"top1": 60.0, "top5": 91.0},
    {"top1": 60.0, "top5": 95.0},
    {"top1": 59.0, "top5": 99.0},
]


def test_all_numbers_are_of_the_first_epoch_with_the_best_metric() -> None:
    best = Best("top1")
    for epoch in EPOCHS:
        best.see(epoch)
    assert best.found == EPOCHS[1]


def test_a_job_that_goes_on_from_a_checkpoint_knows_the_best_before_it() -> None:
    before, after, begun_before_there_was_one = Best("top1"), Best("top1"), Best("top1")
    assert before.state() == {}
    for epoch in EPOCHS[:2]:
        before.see(epoch)
    after.load_state({**before.state(), "centre": before.state()["best/top1"]})
    begun_before_there_was_one.load_state({})
    for best in (after, begun_before_there_was_one):
        best.see(EPOCHS[3])
    assert after.found == EPOCHS[1] and begun_before_there_was_one.found == EPOCHS[3]


def test_an_evaluation_that_was_owed_when_the_checkpoint_was_written_counts_after_a_kill() -> None:
    before = Best("top1")
    before.see(EPOCHS[0])
    restored = Restored(Position(), {**before.state(), DROPPED: torch.tensor(0)}, EPOCHS[1])
    training = Training.__new__(Training)
    training.checkpoints, training.strategy = Mock(restore=lambda strategy, start: restored), Mock()
    training.task = Mock(best=Best("top1"), total_steps=9, evaluate_every=1)
    training.early_stop = EarlyStop(None)
    training._restore()
    assert training.task.best is not None and training.task.best.found == EPOCHS[1]


def test_the_log_names_both(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    best = Best("top1")
    for epoch in EPOCHS:
        best.see(epoch)
    best.tell(EPOCHS[3], "best")
    assert caplog.messages == ["top1: best 60.00, last 59.00; metrics.json has the best"]
