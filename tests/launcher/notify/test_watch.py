"""A job that comes no further, and one whose metric is what somebody waits for."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.notify import watch
from launcher.notify.notice import untold
from launcher.notify.watch import Watch, watching
from launcher.plan import Event, Notification
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.runs.status import status_from_folder
from locat.contract.fence import Fence
from locat.contract.progress import ProgressRecord
from support import small_runs

ON = (Event("stalled", minutes=0.001), Event("metric", condition="val/miou < 5 after 20"))
TOLD = Notification(ON, "command", {"words": ["true"]})


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = small_runs.make(tmp_path, replace(small_runs.job("a"), notify=(TOLD,)))
    begin(run, 1)
    return run


def begin(run: RunFolder, attempt: int) -> Watch:
    run.job("a").attempt(attempt).mkdir(parents=True)
    Fence(run.job("a").attempt(attempt)).claim()
    JobState(Status.RUNNING, attempt, os.getpid()).write(run.job("a").state)
    return Watch(run, run.plan().job("a"), attempt)


def record(run: RunFolder, step: int, miou: float, end: str = "\n") -> None:
    line = json.dumps({"step": step, "time": 0, "metrics": {"val/miou": miou}})
    with run.job("a").metrics.open("a") as file:
        file.write(line + end)


def progress(run: RunFolder, done: int) -> None:
    ProgressRecord("train", done, 100, "steps", updated=time.time()).write(run.job("a").progress)


def reasons(run: RunFolder) -> dict[str, str]:
    return {each.name: each.reason for each in untold(run, status_from_folder(run, run.plan()))}


def test_a_metric_is_noticed_once_and_over_attempts(run: RunFolder) -> None:
    eye = Watch(run, run.plan().job("a"), 1, since=time.monotonic() + 1000)
    assert not eye.look()
    record(run, 10, 3.0)
    record(run, 20, 6.0)
    assert not eye.look()
    record(run, 30, 4.5, end="")
    assert not eye.look(), "the line is being written"
    with run.job("a").metrics.open("a") as file:
        file.write("\nno record\n")
    assert eye.look()
    record(run, 40, 4.0)
    assert not eye.look()
    later = begin(run, 2)
    later.seen, later.since = [], time.monotonic() + 1000
    assert not later.look()
    assert reasons(run) == {"0.1-metric": "val/miou is 4.5 at step 30, val/miou < 5 after 20"}


def test_metrics_that_were_cut_short_are_read_from_their_beginning(run: RunFolder) -> None:
    eye = Watch(run, run.plan().job("a"), 1, since=time.monotonic() + 1000)
    for step in range(9):
        record(run, step, 9.0)
    assert not eye.look()
    run.job("a").metrics.write_text("")
    record(run, 30, 4.0)
    assert eye.look()


def test_a_job_is_stalled_that_comes_no_further(run: RunFolder) -> None:
    eye = Watch(run, run.plan().job("a"), 1)
    for done in range(3):
        progress(run, done)
        assert not eye.look(), "it goes on"
    time.sleep(0.1)
    progress(run, 2)  # the file is new, what it says is not
    assert eye.look()
    time.sleep(0.1)
    assert not eye.look(), "once an attempt"
    (reason,) = reasons(run).values()
    assert reason == "no progress for 0.001 min: train 2/100 steps"


def test_a_job_that_says_nothing_of_its_progress_is_heard_by_its_logs(run: RunFolder) -> None:
    eye = Watch(run, run.plan().job("a"), 1)
    log = run.job("a").attempt(1) / "launch.log"
    for line in range(3):
        log.write_text("line\n" * line)
        assert not eye.look()
        time.sleep(0.1)
    assert eye.look()


def test_an_attempt_that_another_has_superseded_notices_nothing(run: RunFolder) -> None:
    eye = Watch(run, run.plan().job("a"), 1)
    begin(run, 2)
    time.sleep(0.1)
    record(run, 30, 1.0)
    assert not eye.look() and reasons(run) == {}


def test_what_is_noticed_is_told_while_the_job_runs_and_at_its_end(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(watch, "LOOK", 0.05)
    monkeypatch.setattr(watch, "start", started.append)
    with watching(run, run.plan().job("a"), 1):
        small_runs.until(lambda: len(started) == 2)  # what an earlier attempt has left, and that it stalls
    assert list(reasons(run)) == ["0.0-stalled-1"]
    monkeypatch.setattr(watch, "LOOK", 50.0)
    with watching(run, run.plan().job("a"), 1):
        record(run, 30, 1.0)
    assert list(reasons(run)) == ["0.0-stalled-1", "0.1-metric"]


def test_a_job_without_such_events_is_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Notification((Event("done"),), "command", {"words": ["true"]})
    run = small_runs.make(tmp_path, replace(small_runs.job("a"), notify=(ends,)))
    monkeypatch.setattr(watch.threading, "Thread", None)
    with watching(run, run.plan().job("a"), 1):
        pass
