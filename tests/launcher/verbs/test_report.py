"""`launcher report`: what it asks the reporting process for, and what it says before."""

import json
import time
from pathlib import Path

import pytest

from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.verbs import report
from support import small_runs


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run instead of being run."""
    commands: list[list[str]] = []
    monkeypatch.setattr(report.subprocess, "call", lambda command, **_: commands.append(command) or 7)
    return commands


def ended(run: RunFolder, name: str, sent: bool) -> None:
    JobState(Status.DONE, attempt=1, started=time.time()).write(run.job(name).state)
    if sent:
        run.job(name).tracking.write_text(json.dumps({"run_id": "1", "status": "FINISHED"}))


def test_the_newest_run_is_reported_into_its_own_folder(tmp_path: Path, called: list[list[str]]) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    ended(run, "a", sent=True)
    answer = small_runs.cli(run, "report")
    assert (answer.exit_code, answer.output) == (7, "")
    assert called[0][1:] == ["-P", "-m", "locat.report", str(run.path)]


def test_several_runs_make_one_report(tmp_path: Path, called: list[list[str]]) -> None:
    first, second = (small_runs.make(tmp_path, small_runs.job("a"), name=name) for name in ("first", "second"))
    small_runs.cli(
        first, "report", "second", "first", "second", "--output", str(tmp_path / "out"), "--tracking-uri", "http://m"
    )
    words = [str(second.path), str(first.path), "--output", str(tmp_path / "out"), "--tracking-uri", "http://m"]
    assert called[0][4:] == words


def test_what_is_missing_from_the_report_is_said(tmp_path: Path, called: list[list[str]]) -> None:
    run = small_runs.make(tmp_path, *(small_runs.job(name) for name in ("sent", "kept", "waits")))
    ended(run, "sent", sent=True)
    ended(run, "kept", sent=False)
    run.tracking.write_text("{}")
    lines = small_runs.cli(run, "report").output.splitlines()
    assert lines[0] == "note: test: 2 of 3 jobs are done"
    assert lines[1].startswith("note: test: MLflow has not everything; `") and lines[1].endswith("of kept")
    assert "sync" in lines[1]


def test_a_run_that_is_not_there_is_refused(tmp_path: Path, called: list[list[str]]) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    answer = small_runs.cli(run, "report", "tset")
    assert answer.exit_code == 2 and "no run 'tset'" in answer.output
    assert not called
