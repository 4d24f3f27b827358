"""What is left of jobs that have ended: server away from begin to end, job killed; against a real server."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from locat.contract.metric_record import Record
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking.sync import sync
from support.mlflow_server import Proxy
from support.tracked_jobs import everything_is_sent, make, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("impatient")]


def test_a_job_whose_server_was_away_from_begin_to_end_is_sent_afterwards(
    tmp_path: Path, proxy: Proxy, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    each = make(tmp_path, proxy)
    proxy.down()
    before = time.time()
    records = [Record(step, before, {"loss": float(step), "other": 0.0}) for step in range(1500)]  # several requests
    each.job.metrics.write_bytes(b"".join(record.to_line() for record in records))
    with tracked(each.job, each.config, is_main=True):
        log = MetricLog(each.job.metrics)
        log.append(1500, {"loss": math.nan, "other": math.inf, "third": -math.inf})
        ended = time.monotonic()
    assert time.monotonic() - ended < 10.0
    after = time.time()
    assert caplog.text.count("takes nothing now") == 1
    assert "`launcher sync run`" in caplog.text

    jobs = {each.job.path: "FAILED"}
    assert sync(jobs, "FINISHED") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert proxy.uri in line and "does not answer; all is kept" in line
    proxy.up()
    time.sleep(1.0)  # so that the end cannot be mistaken for the time of sending
    assert sync(jobs, "FINISHED") == 0
    assert capsys.readouterr().out.splitlines() == [
        "job: sent 3003 points, 1 files and its end: FINISHED",
        "the run: FINISHED",
    ]
    points = each.points()
    assert points[:-1] == [(step, float(step)) for step in range(1500)]
    assert points[-1][0] == 1500 and math.isnan(points[-1][1])
    assert each.points("other")[-1] == (1500, sys.float_info.max)  # as MLflow's database has infinity
    assert each.points("third") == [(1500, -sys.float_info.max)]
    assert each.files() == ["comparison.json"]
    for run in each.runs():
        assert run.info.status == "FINISHED"
        assert before - 1 <= run.info.start_time / 1000 <= run.info.end_time / 1000 <= after

    sent = len(proxy.requests)
    assert sync(jobs, "FINISHED") == 0
    assert capsys.readouterr().out.splitlines() == ["job: nothing left"]
    assert len(proxy.requests) == sent

    each.job.tracking.write_text("{")  # what MLflow has is forgotten: all is sent again, NaN and infinities too
    assert sync(jobs, "FINISHED") == 0
    assert len(each.points()) == 1501
    assert (len(each.points("other")), len(each.points("third"))) == (1501, 1)


RUNS_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from locat.config import load_job
from locat.contract.metric_record import Record
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking import tracked
from locat.contract.job_folder import JobFolder
job = JobFolder(Path(sys.argv[1]))
with tracked(job, load_job(job.config), is_main=True):
    MetricLog(job.metrics).append(1, {"loss": 1.0})
    time.sleep(60)
"""


def test_a_killed_job_ends_in_mlflow_as_the_launcher_says_at_its_last_sign_of_life(
    tmp_path: Path, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    each = make(tmp_path, proxy)
    process = subprocess.Popen([sys.executable, "-c", RUNS_UNTIL_KILLED, str(each.job.path)])
    until(lambda: each.job.metrics.exists() and everything_is_sent(each))
    assert sync({each.job.path: "FAILED"}, None) == 0
    assert capsys.readouterr().out == "job: sends by itself: it still runs\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert each.run().info.status == "RUNNING"
    assert sync({each.job.path: "FAILED"}, "FAILED") == 0
    assert [run.info.status for run in each.runs()] == ["FAILED", "FAILED"]
    assert each.run().info.end_time == int(each.job.metrics.stat().st_mtime * 1000)
    assert sync({each.job.path: "FAILED"}, "FAILED") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "job: nothing left"


def test_a_job_ends_with_its_own_code_whatever_the_server_does(tmp_path: Path, proxy: Proxy) -> None:
    each = make(tmp_path, proxy)
    result = tmp_path / "metrics.json"
    result.write_text(json.dumps({"task": "knn", "model": "vit (mine)", "dataset": "d", "metrics": {"top1_k20": 50.0}}))
    config = {**each.config.model_dump(mode="json"), "results": [str(result)]}
    each.job.config.write_text(yaml.safe_dump(config))
    proxy.down()
    job = subprocess.run([sys.executable, "-m", "locat", str(each.job.config)], capture_output=True, text=True)
    proxy.up()
    assert job.returncode == 0, job.stderr
    assert job.stderr.count("MLflow (") == 2 and "launcher sync run" in job.stderr
    assert sync({each.job.path: "FAILED"}, None) == 0
    assert each.points("vit _mine_/top1_k20") == [(0, 50.0)]  # MLflow takes no such names
    assert each.files() == ["comparison.json", "figures"]
