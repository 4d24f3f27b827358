"""`checkpoints.after`: the same at a job's end, and the job is done whatever comes of it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.attempt.run import attempt
from launcher.plan import PlannedJob
from launcher.runs.state import Status
from support import kept_runs, small_runs
from support.kept_runs import steps

ROOT = Path(__file__).parents[3]
SAVES = f"""\
import os, pathlib, sys
sys.path[:0] = {[str(ROOT), str(ROOT / "tests")]}
from support import kept_runs
job = pathlib.Path(os.environ["LOCAT_ATTEMPT_DIR"]).parents[1]
kept_runs.save(job / "checkpoints", {{3: 1.0, 5: 9.0, 7: 8.0}})
raise SystemExit(CODE)
"""


def saving(code: int = 0, after: str | None = None) -> PlannedJob:
    job = kept_runs.job("train", after=after)
    return replace(job, command=(sys.executable, "-c", SAVES.replace("CODE", str(code))))


@pytest.mark.parametrize(("after", "left"), [(None, [3, 5, 7]), ("best", [5]), ("last", [7]), ("none", [])])
def test_what_the_config_asks_for_stays(
    after: str | None, left: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = kept_runs.make(tmp_path, "run", saving(after=after))
    assert attempt(run, "train").exit_code == 0
    assert steps(run, "train") == left
    said = capsys.readouterr().out
    assert said == "" if after is None else said.startswith("train: deleted step-000000"), said


def test_a_job_that_fails_keeps_all(tmp_path: Path) -> None:
    run = kept_runs.make(tmp_path, "run", saving(1, "none"))
    assert attempt(run, "train").exit_code == 1
    assert steps(run, "train") == [3, 5, 7]


def test_what_another_run_needs_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = kept_runs.make(tmp_path, "run", saving(after="none"))
    source = {"source": f"run:{run.path}/train@best"}
    kept_runs.make(tmp_path, "other", kept_runs.job("tune", model={"init": source}))
    assert attempt(run, "train").exit_code == 0
    assert steps(run, "train") == [5]
    assert "train: kept step-0000005: other/tune needs it" in capsys.readouterr().out


def test_a_job_is_done_though_nothing_can_be_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = kept_runs.make(tmp_path, "run", saving(after="none"))
    other = small_runs.make(tmp_path, small_runs.job("a"), name="other")
    (other.path / "plan.json").write_text("{")
    assert attempt(run, "train").exit_code == 0
    assert run.state("train").status is Status.DONE and steps(run, "train") == [3, 5, 7]
    assert "so all checkpoints stay" in capsys.readouterr().out
    (other.path / "plan.json").unlink()
    assert attempt(run, "train").exit_code == 0, "asked once more, it is done and has what is left deleted"
    assert run.state("train").attempt == 1 and steps(run, "train") == []
