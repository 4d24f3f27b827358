"""Progress is only shown: nothing that keeps it from being written ends the work."""

import logging
import os
from pathlib import Path

import pytest

from locat.contract.job_folder import JobFolder
from locat.contract.progress import ProgressRecord
from locat.engine import progress
from locat.engine.progress import Progress


def test_a_full_disk_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "FILE_INTERVAL", 0.0)
    replace, full = os.replace, True

    def replaced(*names: str) -> None:
        if full:
            raise OSError(28, "No space left on device")
        replace(*names)

    monkeypatch.setattr(os, "replace", replaced)
    job = JobFolder(tmp_path)
    with caplog.at_level(logging.WARNING), Progress(job, "train", 10, "step") as shown:
        for done in range(1, 6):
            shown.advance_to(done)
        assert [record.getMessage() for record in caplog.records] == [
            "progress.json cannot be written (No space left on device): the launcher shows no progress"
        ]
        full = False
        shown.advance_to(7)
        found = ProgressRecord.read(job.progress)
        assert found is not None and found.done == 7


def test_a_folder_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    with Progress(JobFolder(tmp_path / "gone"), "train", 10, "step"):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_held_of_the_gpu_is_told(tmp_path: Path) -> None:
    with Progress(job := JobFolder(tmp_path), "train", 10, "step", memory=lambda: (3, 4)):
        found = ProgressRecord.read(job.progress)
    assert found is not None and (found.gpu_memory, found.gpu_memory_total) == (3, 4)
