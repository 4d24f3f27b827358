"""Files that outlive their writers: older ones are read, newer ones as far as is safe."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.runs import progress
from launcher.runs.state import JobState, Status
from locat.contract import checkpoint_folder
from locat.contract.comparison import Comparison
from locat.contract.job_folder import ATTEMPT_VARIABLE, JobFolder, rank_log, rank_logs
from locat.contract.outcome import Outcome, write_outcome
from locat.contract.progress import ProgressRecord
from locat.contract.records import FormatError
from locat.contract.tracking import ParentRun, TrackingCursor
from locat.data.position import Position
from locat.engine.checkpoints.manifest import Manifest, find_fault

PROGRESS_FILE = "progress.json"
PROGRESS = ProgressRecord("train", 3, 10, "step", 0.5, 12.0, 2.0, 4.0)
STATE = JobState(Status.FAILED, 2, 71, 1, "boom", 3.0, 4.0, 1, "n1", "b")
TABLE = Comparison(["model", "top1"], [{"model": "vit", "top1": 1.5}])
CURSOR = TrackingCursor("r", 7, ("a", "b"), "FINISHED", 2.0)
PARENT = ParentRun("uri", "1", "r", "FINISHED", 2.0)
MANIFEST = Manifest(Position(1, 2), {"top1": 1.0}, 2, {"task": "dino"}, {})

Case = tuple[Any, str, Callable[[Path], Any], Callable[[Path], Any]]


def in_file(kind: Any, name: str) -> Callable[[Path], Any]:
    """Reads a record that is asked for by its file, not by the folder that it lies in."""
    return lambda folder: kind.read(folder / name)


CASES: list[Case] = [
    (PROGRESS, PROGRESS_FILE, lambda at: PROGRESS.write(at / PROGRESS_FILE), in_file(ProgressRecord, PROGRESS_FILE)),
    (STATE, "state.json", lambda at: STATE.write(at / "state.json"), in_file(JobState, "state.json")),
    (TABLE, "comparison.json", TABLE.write, Comparison.read),
    (CURSOR, "tracking.json", lambda at: CURSOR.write(JobFolder(at)), lambda at: TrackingCursor.read(JobFolder(at))),
    (PARENT, "tracking.json", PARENT.write, ParentRun.read),
    (Outcome(75, "why"), "outcome.json", lambda at: write_outcome(75, "why"), Outcome.read),
    (MANIFEST, "manifest.json", MANIFEST.write, Manifest.read),
]
STRICT = {"state.json": 1, "manifest.json": checkpoint_folder.FORMAT}
"""What decides about a run or its weights, and the newest format that is read."""
each = pytest.mark.parametrize(
    ("record", "name", "write", "read"), CASES, ids=[type(case[0]).__name__ for case in CASES]
)


@pytest.fixture(autouse=True)
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))


@each
def test_a_record_is_read_as_it_was_written_and_without_its_number(
    tmp_path: Path, record: Any, name: str, write: Callable[[Path], Any], read: Callable[[Path], Any]
) -> None:
    write(tmp_path)
    assert read(tmp_path) == record
    values = json.loads((tmp_path / name).read_text())
    assert values.pop("format") == 1
    (tmp_path / name).write_text(json.dumps(values))
    assert read(tmp_path) == record


@each
def test_keys_of_newer_versions_are_ignored_and_newer_formats_shown_where_nothing_hangs_on_them(
    tmp_path: Path, record: Any, name: str, write: Callable[[Path], Any], read: Callable[[Path], Any]
) -> None:
    write(tmp_path)
    values = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps({**values, "new": 1}))
    assert read(tmp_path) == record
    newest = STRICT.get(name, 1)
    (tmp_path / name).write_text(json.dumps({**values, "format": newest + 1, "new": 1}))
    if name not in STRICT:
        assert read(tmp_path) == record
        return
    newer = rf"is of format {newest + 1}, .* reads up to format {newest}; install"
    with pytest.raises(FormatError, match=rf"^{tmp_path}/{name}: {newer}"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["", '{"phase": "tr', "[]", '{"phase": "train"}'])
def test_progress_that_a_power_failure_cut_short_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / PROGRESS_FILE).write_text(text)
    assert ProgressRecord.read(tmp_path / PROGRESS_FILE) is None


def test_progress_is_described(tmp_path: Path) -> None:
    PROGRESS.write(tmp_path / PROGRESS_FILE)
    assert ProgressRecord.read(tmp_path / PROGRESS_FILE) == PROGRESS
    assert progress.described(PROGRESS) == "train 3/10 step, 0.5/s, 0:14 left"


def test_a_checkpoint_of_a_newer_version_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    assert find_fault(tmp_path) == "task.pt is missing"
    values = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**values, "format": checkpoint_folder.FORMAT + 1}))
    with pytest.raises(FormatError, match="install the version that wrote it"):
        find_fault(tmp_path)
    values["position"]["order"] = 3
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    assert "3 is not a valid OrderKind" in str(find_fault(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    assert "cannot be read" in str(find_fault(tmp_path))


def test_the_logs_of_ranks_are_found_by_their_names(tmp_path: Path) -> None:
    for rank in (0, 10):
        rank_log(tmp_path, rank).touch()
    (tmp_path / "rank-x.log").touch()
    (tmp_path / "launch.log").touch()
    assert rank_logs(tmp_path) == {tmp_path / "rank-0.log": 0, tmp_path / "rank-10.log": 10}


@pytest.mark.parametrize(
    "text",
    [
        '{"phase": 1, "done": 1, "total": 2, "unit": "step"}',
        '{"phase": "fit", "done": "1", "total": 2, "unit": "step"}',
        '{"phase": "fit", "done": true, "total": 2, "unit": "step"}',
        '{"phase": "fit", "done": NaN, "total": 2, "unit": "step"}',
        '{"phase": "fit", "done": 1, "total": 1e99, "unit": "step"}',
        '{"phase": "fit", "done": 1, "total": 2, "unit": "step", "gpu_memory": "3"}',
        "[" * 100_000,
    ],
)
def test_progress_that_a_program_wrote_is_shown_only_if_it_can_be(tmp_path: Path, text: str) -> None:
    file = tmp_path / PROGRESS_FILE
    file.write_text(text)
    assert ProgressRecord.read(file) is None
    file.write_text('{"phase": "fit", "done": 1, "total": 2.5, "unit": "step"}')
    told = ProgressRecord.read(file)
    assert told is not None and progress.described(told) == "fit 1/2.5 step"
    slow = ProgressRecord("fit", 1, 2, "step", 1e-300)
    assert progress.described(slow) == "fit 1/2 step, 1e-300/s"
