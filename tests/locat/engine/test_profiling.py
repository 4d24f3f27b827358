"""What `profile` records, and that it changes nothing else."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from locat.config import load_job
from locat.config.profile import Profile as Settings
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.engine.distributed import Ranks
from locat.engine.profiling import Profile
from support.training import metrics, run, supervised, write_config

ALONE = Ranks(0, 1, torch.device("cpu"))
SECOND = Ranks(1, 2, torch.device("cpu"))


def train(
    folder: Path, settings: Settings, ranks: Ranks = ALONE, begun: int = 0, ended: int = 8, total: int = 8
) -> None:
    """Steps that multiply matrices, from one to another."""
    with Profile(settings, JobFolder(folder), ranks, total) as profile:
        for step in range(begun, ended):
            profile.begin(step)
            torch.ones(64, 64) @ torch.ones(64, 64)
            profile.end(step + 1, step + 1 == total)


def left(folder: Path) -> set[str]:
    return {path.name for path in (folder / "outputs").rglob("*") if path.is_file()}


def trace(folder: Path, rank: int = 0) -> list[dict[str, Any]]:
    with gzip.open(folder / "outputs" / "profile" / f"rank-{rank}.trace.json.gz") as file:
        events: list[dict[str, Any]] = json.load(file)["traceEvents"]
    return events


def steps(folder: Path, rank: int = 0) -> list[str]:
    names = (event["name"] for event in trace(folder, rank) if event.get("ph") == "X")
    return sorted(name for name in names if name.startswith("locat step"))


def test_the_steps_that_are_asked_for_are_in_the_trace_and_the_table(tmp_path: Path) -> None:
    train(tmp_path, Settings(steps=(2, 5), memory=True))
    assert left(tmp_path) == {"rank-0.trace.json.gz", "rank-0.kernels.csv"}
    assert steps(tmp_path) == ["locat step 2", "locat step 3", "locat step 4"]
    assert any(event["name"] == "[memory]" for event in trace(tmp_path))
    rows = list(csv.DictReader((tmp_path / "outputs/profile/rank-0.kernels.csv").open()))
    (product,) = (row for row in rows if row["name"] == "aten::mm")
    assert product["device"] == "cpu" and product["calls"] == "3" and float(product["memory_mib"]) == 0.047
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=0.01)
    times = [float(row["milliseconds"]) for row in rows]
    assert times == sorted(times, reverse=True)


def test_without_memory_none_is_told(tmp_path: Path) -> None:
    train(tmp_path, Settings(steps=(7, 8)))
    assert steps(tmp_path) == ["locat step 7"]
    assert not any(event["name"] == "[memory]" for event in trace(tmp_path))
    assert "memory_mib" not in (tmp_path / "outputs/profile/rank-0.kernels.csv").read_text()


def test_a_restart_within_the_steps_records_those_that_are_left_and_one_after_them_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(steps=(2, 5))
    train(tmp_path, settings, ended=4)  # asked to stop
    assert left(tmp_path) == set() and "the profile is dropped" in caplog.text
    train(tmp_path, settings, begun=4)
    assert steps(tmp_path) == ["locat step 4"] and "steps 4 to 5: those before were taken earlier" in caplog.text
    written = (tmp_path / "outputs/profile/rank-0.trace.json.gz").stat().st_mtime_ns
    train(tmp_path, settings, begun=5)
    assert (tmp_path / "outputs/profile/rank-0.trace.json.gz").stat().st_mtime_ns == written


def test_only_the_ranks_that_are_asked_for_are_recorded(tmp_path: Path) -> None:
    train(tmp_path, Settings(steps=(0, 1)), SECOND)
    assert left(tmp_path) == set()
    train(tmp_path, Settings(steps=(0, 1), ranks=[1]), SECOND)
    assert left(tmp_path) == {"rank-1.trace.json.gz", "rank-1.kernels.csv"}


def test_what_cannot_be_written_does_not_end_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "outputs").write_text("no folder")
    train(tmp_path, Settings(steps=(0, 1)))
    assert "the profile cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": [5, 5]}, "the recording ends after step 5, not after 5, where it begins"),
        ({"steps": [50, 60, 70]}, "at most 2 items"),
        ({"steps": [0, 201]}, "201 steps, of at most 200"),
        ({"steps": [-1, 2]}, "greater than or equal to 0"),
        ({"steps": [0, 1], "ranks": []}, "at least 1 item"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(settings)


def test_steps_and_ranks_that_the_job_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"profile.steps: 9, but this training ends after step 8"):
        train(tmp_path, Settings(steps=(7, 9)))
    with pytest.raises(ConfigError, match=r"profile.ranks: no rank 2; the job has 2"):
        train(tmp_path, Settings(steps=(7, 8), ranks=[0, 2]), SECOND)


def test_a_recorded_training_is_the_same_training(tmp_path: Path, data: dict[str, str]) -> None:
    asked = {"steps": [4, 6], "memory": True}
    with_it, without = tmp_path / "with", tmp_path / "without"
    write_config(with_it, supervised(data, profile=asked))
    write_config(without, supervised(data))
    for folder in (with_it, without):
        run(folder)
    losses = metrics(without, "train/loss")
    assert len(losses) == 12 and metrics(with_it, "train/loss") == losses
    assert left(with_it) - left(without) == {"rank-0.trace.json.gz", "rank-0.kernels.csv"}
    assert steps(with_it) == ["locat step 4", "locat step 5"]
    one, other = (load_job(folder / "config.yaml") for folder in (with_it, without))
    assert one.decisive() == other.decisive() and "profile" not in other.recorded()  # type: ignore[attr-defined]
