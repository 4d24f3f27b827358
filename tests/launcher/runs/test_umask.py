"""Who may read what is written is the umask's to say; locks alone are their owner's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import locat.__main__ as job_main
from launcher.attempt.run import attempt
from locat.contract.job_folder import ExitCode
from locat.contract.tracking import ParentRun, TrackingCursor
from support import small_runs

SAVE = (
    small_runs.SAVE
    + """
(job / "outputs" / "figures").mkdir(parents=True)
(job / "outputs" / "metrics.json").write_text("{}")
"""
)


@pytest.fixture(params=[0o077, 0o022, 0o007], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    earlier = os.umask(request.param)
    yield request.param
    os.umask(earlier)


def test_a_run_is_written_as_the_umask_says(umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a", SAVE))
    assert attempt(run, "a").exit_code == ExitCode.DONE
    ParentRun("http://mlflow").write(run.path)
    TrackingCursor("1").write(run.job("a"))
    monkeypatch.setattr(os, "dup2", lambda *descriptors: None)
    job_main.log_to(run.job("a").attempt(1) / "rank-0.log")
    found = [path for path in (tmp_path / "runs").rglob("*") if path.name != "lock"]
    names = {path.name for path in found}
    assert {"plan.json", "pipeline.yaml", "submitted.json", "config.yaml", "state.json", "tracking.json"} < names
    assert {"launch.log", "rank-0.log", "outputs", "metrics.json", "figures"} < names
    for path in found:
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask, path
    assert run.job_lock("a").stat().st_mode & 0o777 == 0o600
