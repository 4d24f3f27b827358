"""`status` of a run whose jobs run: on any terminal, in a log, for programs, once and until it has ended."""

import io
import json
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from launcher import locks
from launcher.backends import look
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.runs.status import RunView
from launcher.view import summary, watch
from locat.contract.metric_record import Record
from locat.contract.progress import ProgressRecord
from support import small_runs

GIB = 1 << 30
TRAINED = {"throughput/images_per_second": 1234.5, "throughput/data_wait": 0.031}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A run with a job that is done, one that trains, and one that waits for it."""
    jobs = (small_runs.job("convert"), small_runs.job("pretrain-locatvit_tiny", needs=("convert",)))
    run = small_runs.make(tmp_path, *jobs, small_runs.job("segment", needs=("pretrain-locatvit_tiny",)), name="digits")
    JobState(Status.DONE, 1, started=0.0, ended=50.0).write(run.job("convert").state)
    job = run.job("pretrain-locatvit_tiny")
    JobState(Status.RUNNING, 2, started=time.time() - 45.5).write(job.state)
    ProgressRecord("train", 120, 300, "step", 7.3, 1.0, 10.5 * GIB, 140.0 * GIB).write(job.progress)
    trained = [Record(step, 0.0, {"train/loss": 4.0 - step / 40, **TRAINED}) for step in range(0, 120, 10)]
    evaluated = [Record(step, 0.0, {"val/top1": float(step), "val/loss": math.nan}) for step in (50, 100)]
    lines = [record.to_line() for record in sorted(trained + evaluated, key=lambda record: record.step)]
    job.metrics.write_bytes(b"".join(lines) + b'{"step": 130')
    lock = locks.acquire(run.job_lock("pretrain-locatvit_tiny"))
    assert lock is not None
    yield run
    os.close(lock)


def shown(run: RunFolder, width: int, **settings: Any) -> str:
    out = Console(file=io.StringIO(), width=width, highlight=False, markup=False, **settings)
    out.print(summary.run_report(run, look(run, run.plan()), out))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_wide_terminal_has_columns_and_a_narrow_one_parts(run: RunFolder) -> None:
    wide = shown(run, 160, force_terminal=True, color_system=None)
    assert re.search(r"^job +loss +evaluated +images/s +data wait +GPU memory$", wide, re.MULTILINE), wide
    told = r"^pretrain-locatvit_tiny  ██▇▆▆▅▄▃▃▂▁▁ 1\.25  top1 ▁█ 100 +1234 +3% +10\.5 of 140\.0 GiB$"
    assert re.search(told, wide, re.MULTILINE), wide
    for width in (20, 40, 72, 80):
        narrow = shown(run, width, force_terminal=True, color_system=None)
        assert max(map(cell_len, narrow.splitlines())) <= width, narrow
        for part in ("convert", "segment", "1.25", "top1", "1234 images/s", "3%", "140.0 GiB", "train 120/300"):
            assert part in narrow or width == 20, (width, narrow)
    told = "pretrain-locatvit_tiny running 0:45\n  attempt 2, train 120/300 step, 7.3/s, \n  0:24 left"
    assert told in shown(run, 40)


def test_no_escape_codes_in_a_log_and_no_colours_where_they_are_not_wanted(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in shown(run, 160) and "▁█ 100" in shown(run, 160)
    assert "\x1b[1;34mrunning" in shown(run, 160, force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\d", shown(run, 160, force_terminal=True, color_system="standard"))
    monkeypatch.setenv("LC_ALL", "C")
    assert "##*++=:--.__ 1.25" in shown(run, 160)


def test_programs_get_the_points(run: RunFolder) -> None:
    done, job, waits = json.loads(small_runs.cli(run, "status", "--json").stdout)["jobs"]
    assert done["signs"] is None and waits["signs"] is None
    loss = job["signs"].pop("loss")
    assert (loss["metric"], loss["step"], loss["value"]) == ("train/loss", 110, 1.25)
    assert loss["course"] == [[step, 4.0 - step / 40] for step in range(0, 120, 10)]
    assert job["signs"] == {
        "evaluated": {"metric": "val/top1", "step": 100, "value": 100.0, "course": [[50, 50.0], [100, 100.0]]},
        "images_per_second": 1234.5,
        "data_wait": 0.031,
    }
    assert (job["progress"]["gpu_memory"], job["progress"]["gpu_memory_total"]) == (10.5 * GIB, 140.0 * GIB)


def test_the_metric_that_decides_is_shown(tmp_path: Path, run: RunFolder) -> None:
    plan = json.loads((run.path / "plan.json").read_text())
    plan["jobs"][1]["config"]["checkpoints"] = {"best": "loss"}
    (run.path / "plan.json").write_text(json.dumps(plan))
    assert "loss xx nan" in shown(run, 160)


@contextmanager
def ending(run: RunFolder) -> Iterator[pytest.MonkeyPatch]:
    """What is watched runs for three looks, tells more before the second one, and then is done."""

    def views(run: RunFolder, plan: object) -> Iterator[RunView]:
        plan = run.plan()
        yield look(run, plan)
        job = run.job("pretrain-locatvit_tiny")
        ProgressRecord("\x1b[2Jfit", 1, 2, "step").write(job.progress)
        with job.metrics.open("ab") as file:
            file.write(b"\n" + Record(140, 0.0, {"train/loss": 0.5}).to_line())
        yield look(run, plan)
        yield look(run, plan)
        for job in plan.jobs:
            state = JobState(Status.DONE, 1, started=0.0, ended=1.0)
            state.write(run.job(job.name).state)
        yield look(run, plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("launcher.view.watch.views", views)
        patch.setattr("launcher.verbs.status.views", views)
        yield patch


def test_in_a_log_watching_says_what_changes_until_the_end(run: RunFolder) -> None:
    with ending(run) as patch:
        patch.setattr(watch, "PROGRESS_EVERY", 0.0)
        answer = small_runs.cli(run, "status", "--watch")
    assert answer.exit_code == 0 and "\x1b" not in answer.stdout
    lines = answer.stdout.splitlines()
    assert lines[:3] == ["convert: done 0:50", "pretrain-locatvit_tiny: running 0:45", lines[2]]
    told = "\\x1b[2Jfit 1/2 step, loss █▇▆▅▄▃▂▁ 0.5, top1 ▁█ 100, 1234 images/s, data wait 3%"
    assert lines[3] == f"pretrain-locatvit_tiny: {told}"
    assert answer.stdout.index("segment: done") < answer.stdout.index("digits: done")


def test_programs_get_a_line_per_change(run: RunFolder) -> None:
    with ending(run):
        lines = [json.loads(line) for line in small_runs.cli(run, "status", "--watch", "--json").stdout.splitlines()]
    assert [line["status"] for line in lines] == ["stopped", "stopped", "done"], "what has not changed is not repeated"
    assert [line["jobs"][1]["signs"] and line["jobs"][1]["signs"]["loss"]["step"] for line in lines] == [110, 140, None]
