"""What training spends its time on: every second is told once, and nothing that goes wrong with it ends the work."""

from pathlib import Path

import pytest

from locat.contract.job_folder import ATTEMPT_VARIABLE, JobFolder
from locat.contract.usage import CHECKPOINTING, EVALUATING, IDLE, WAITING, UsageRecord
from locat.engine import spending
from locat.engine.spending import INTERVAL, Spending


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(spending, "time", clock)
    return clock


def begin(folder: Path, number: int, step: int, monkeypatch: pytest.MonkeyPatch) -> Spending:
    """An attempt's, of the job in `folder`, that begins at a step."""
    attempt = JobFolder(folder).attempt(number)
    attempt.mkdir(parents=True)
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(attempt))
    return Spending(JobFolder(folder), step, is_main=True)


def told(folder: Path, number: int) -> UsageRecord:
    record = UsageRecord.read(JobFolder(folder).attempt(number))
    assert record is not None
    return record


def train(own: Spending, clock: Clock, steps: range) -> None:
    """Steps of a second that wait another one for their data."""
    for step in steps:
        with own.on(WAITING):
            clock.now += 1
        clock.now += 1
        own.at(step + 1)


def test_every_second_is_told_once(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(tmp_path, 1, 0, monkeypatch) as own:
        train(own, clock, range(10))
        with own.on(EVALUATING, is_long=True):
            assert told(tmp_path, 1).phase == EVALUATING
            clock.now += 5
            with own.on(CHECKPOINTING):
                clock.now += 2
            clock.now += 1
    record = told(tmp_path, 1)
    expected = {"computing": 10, "waiting_for_data": 10, "evaluating": 6, "checkpointing": 2, "repeated": 0}
    assert (record.step, record.seconds, record.phase, record.updated) == (10, expected, IDLE, clock.now)


def test_steps_that_an_attempt_did_not_save_are_repeated_by_the_next(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(begin(tmp_path, 1, 0, monkeypatch), clock, range(12))
    reached = told(tmp_path, 1).step
    assert 12 - INTERVAL <= reached <= 12, "it was killed, and not closed"
    with begin(tmp_path, 2, 4, monkeypatch) as own:
        train(own, clock, range(4, 12))
        assert own.metrics()["usage/repeated_seconds"] == 2 * (reached - 4)
        assert own.metrics()["usage/computing_seconds"] == reached + 12 - reached
    assert told(tmp_path, 2).seconds["repeated"] == 2 * (reached - 4)


def test_a_full_disk_ends_no_training_and_a_deleted_folder_does_not_come_back(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path / "gone" / "attempts" / "1"))
    with Spending(JobFolder(tmp_path / "gone"), 0, is_main=True) as own:
        train(own, clock, range(20))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": 1}', '{"step": 1, "seconds": {"computing": "much"}}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "usage.json").write_text(text)
    assert UsageRecord.read(tmp_path) is None
