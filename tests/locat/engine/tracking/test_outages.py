"""Tracking while the MLflow server is down, slow, wrong or mute: a real server behind a proxy with faults."""

import itertools
import logging
import random
import statistics
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from locat.contract.errors import Preempted, Superseded
from locat.contract.fence import Fence
from locat.contract.job_folder import ATTEMPT_VARIABLE
from locat.contract.metric_record import Record
from locat.contract.submission import Submission
from locat.engine.tracking import sender, tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking.sync import sync
from support.mlflow_server import Proxy
from support.tracked_jobs import everything_is_sent, make, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("impatient")]


def monitors() -> list[threading.Thread]:
    """The threads that watch the machine, of trackers that still run."""
    return [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


def test_what_a_dead_server_missed_is_sent_by_the_next_attempt(tmp_path: Path, proxy: Proxy) -> None:
    each = make(tmp_path, proxy)
    (each.tracking.parent / "pipeline.yaml").write_text("name: p\n")
    Submission("p", "", (), folder="/here").write(each.tracking.parent)
    proxy.down()
    with pytest.raises(ValueError, match="died"), tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
        raise ValueError("died")
    proxy.up()
    with tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
        MetricLog(each.job.metrics).append(2, {"loss": 0.5})
    assert each.points() == [(1, 1.0), (2, 0.5)]
    run = each.run()
    assert run.info.status == "FINISHED"
    assert run.data.params == {"task": "compare", "results": "['metrics.json']"}
    (parent,) = (other for other in each.runs() if other.info.run_id != run.info.run_id)
    assert (parent.data.tags["pipeline"], run.data.tags["pipeline"], run.data.tags["job"]) == ("p", "p", "job")
    assert "| pipeline | p; `pipeline.yaml`" in parent.data.tags["mlflow.note.content"]


def test_a_superseded_attempt_leaves_the_run_to_the_newer_one(
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = make(tmp_path, proxy)
    for number in (1, 2):
        each.job.attempt(number).mkdir(parents=True)
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(each.job.attempt(1)))
    with pytest.raises(Superseded), tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
        until(lambda: everything_is_sent(each))
        before = each.job.tracking.read_bytes()
        Fence(each.job.attempt(2)).claim()
        with each.job.metrics.open("ab") as file:  # what the newer one writes is its own to send
            file.write(Record(2, 0.0, {"loss": 0.5}).to_line())
        until(lambda: not monitors())
        Fence.here().check()
    assert each.job.tracking.read_bytes() == before
    assert each.run().info.status == "RUNNING" and each.points() == [(1, 1.0)]


def test_a_server_killed_in_the_middle_gets_everything_once_it_is_back(
    tmp_path: Path, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "locat")
    each = make(tmp_path, proxy)
    with tracked(each.job, each.config, is_main=True):
        log = MetricLog(each.job.metrics)
        log.append(1, {"loss": 1.0})
        until(lambda: everything_is_sent(each))
        proxy.server.kill()
        for step in range(2, 50):
            log.append(step, {"loss": float(step)})
        until(lambda: "takes nothing now" in caplog.text)
        proxy.server.start()
        until(lambda: everything_is_sent(each))
        until(monitors)
        assert len(monitors()) == 1  # it ends when the server is away, and is started again
    assert [record.levelname for record in caplog.records if record.name.startswith(("locat", "mlflow"))] == [
        "WARNING",  # takes nothing now
        "INFO",  # takes metrics again
    ]
    assert each.points() == [(step, float(step)) for step in range(1, 50)]
    assert each.run().info.status == "FINISHED"


@pytest.mark.parametrize("fault", ["500", "lost", "0.5"])
def test_a_server_in_trouble_for_a_while_gets_every_point_once(tmp_path: Path, proxy: Proxy, fault: str) -> None:
    each = make(tmp_path, proxy)
    troubled = itertools.count()
    proxy.fault = lambda request: fault if next(troubled) < 12 else "pass"
    with tracked(each.job, each.config, is_main=True):
        log = MetricLog(each.job.metrics)
        for step in range(20):
            log.append(step, {"loss": float(step)})
            time.sleep(0.02)
        until(lambda: next(troubled) >= 12 and everything_is_sent(each))
    assert each.points() == [(step, float(step)) for step in range(20)]
    assert each.run().info.status == "FINISHED"


@pytest.mark.parametrize("seed", range(2))
def test_any_mixture_of_faults_loses_and_doubles_nothing(tmp_path: Path, proxy: Proxy, seed: int) -> None:
    draw = random.Random(seed)
    proxy.fault = lambda request: draw.choice(["500", "lost", "0.05", "pass", "pass"])
    each = make(tmp_path, proxy)
    for attempt in range(3):  # preempted twice
        with pytest.raises(Preempted), tracked(each.job, each.config, is_main=True):
            log = MetricLog(each.job.metrics)
            for step in range(20 * attempt + 15):  # from the start again: the checkpoints are lost
                log.append(step, {"loss": float(step)})
            time.sleep(0.3)
            raise Preempted
    for _ in range(100):
        if sync({each.job.path: "FAILED"}, "KILLED") == 0:
            break
    assert each.points() == [(step, float(step)) for step in range(55)]
    assert [run.info.status for run in each.runs()] == ["KILLED", "KILLED"]


def test_an_unanswered_creation_is_not_repeated(tmp_path: Path, proxy: Proxy) -> None:
    seen: Counter[str] = Counter()

    def lose_the_first(request: str) -> str:
        seen[request] += 1
        # Parent and child are created by the same request.
        return "lost" if request.endswith("/create") and seen[request] in (1, 2 * request.count("runs")) else "pass"

    proxy.fault = lose_the_first
    each = make(tmp_path, proxy)
    with tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
        until(lambda: everything_is_sent(each))
    assert [count for request, count in seen.items() if request.endswith("/create")] == [1, 2]
    assert each.points() == [(1, 1.0)]
    assert len(each.runs()) == 2


def test_a_creation_that_a_slow_server_does_after_all_is_deleted_again(
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[str] = []

    def child_is_slow(request: str) -> str:
        if request.endswith("runs/create"):
            created.append(request)
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
            return "3" if len(created) == 2 else "pass"
        if len(created) == 1:  # the parent is there: the next creation is the job's
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        return "pass"

    proxy.fault = child_is_slow
    each = make(tmp_path, proxy)
    with tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
        until(lambda: everything_is_sent(each) and len(each.runs()) == 3)
    assert len(created) == 3
    assert each.points() == [(1, 1.0)]
    assert len(each.runs()) == 2


def test_jobs_that_begin_at_once_share_experiment_and_parents(tmp_path: Path, proxy: Proxy) -> None:
    jobs = [
        make(tmp_path / folder, proxy, name, experiment=tmp_path.name) for folder in ("a", "b") for name in ("x", "y")
    ]
    trackers = [sender.Tracker(each.job, each.config, each.tracking) for each in jobs]
    for each in trackers:
        each.finish("FINISHED")
    kinds = Counter(run.data.tags.get("mlflow.parentRunId") for run in jobs[0].runs())
    assert sorted(kinds.values()) == [2, 2, 2]  # two parents, and two children of each


def test_a_mute_server_holds_the_end_of_a_job_for_no_longer_than_one_silence(
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "SILENCE", 1.0)
    each = make(tmp_path, proxy)
    proxy.fault = lambda request: "20"
    with tracked(each.job, each.config, is_main=True):
        MetricLog(each.job.metrics).append(1, {"loss": 1.0})
        ended = time.monotonic()
    assert 0.9 < time.monotonic() - ended < 10.0  # the request itself takes 20


def test_a_server_that_is_away_does_not_slow_the_steps(
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "SILENCE", 0.1)
    weights = np.random.default_rng(0).normal(size=(300, 300))

    def median_step(log: MetricLog) -> float:
        times = []
        for step in range(60):
            begun = time.perf_counter()
            _ = weights @ weights
            log.append(step, {f"metric{i}": float(step) for i in range(8)})
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    alone = median_step(MetricLog(tmp_path / "metrics.jsonl"))
    ratios = {}
    for state, fault in {"refused": "", "mute": "20", "500": "500"}.items():
        each = make(tmp_path / state, proxy)
        proxy.fault = lambda request, fault=fault: fault  # type: ignore[misc]
        if state == "refused":
            proxy.down()
        keeper = sender.Tracker(each.job, each.config, each.tracking)
        ratios[state] = median_step(MetricLog(each.job.metrics)) / alone
        keeper.finish("FAILED")
        if state == "refused":
            proxy.up()
    print("step time with a server that is away / without tracking:", ratios)
    assert max(ratios.values()) < 5.0, ratios  # of milliseconds, on a busy machine; a request would be a hundredfold
