"""What an attempt asks before it writes; that each writer asks is told in test_superseded.py of its package."""

from pathlib import Path

import pytest

from locat.contract.errors import Superseded
from locat.contract.fence import NEWEST, Fence
from locat.contract.job_folder import ATTEMPT_VARIABLE, JobFolder


def begun(job: JobFolder, number: int) -> Fence:
    job.attempt(number).mkdir(parents=True)
    fence = Fence(job.attempt(number))
    fence.claim()
    return fence


def test_the_newest_attempt_may_write_and_the_one_before_may_not(tmp_path: Path) -> None:
    older = begun(JobFolder(tmp_path), 9)
    older.check()
    newer = begun(JobFolder(tmp_path), 10)
    newer.check()
    with pytest.raises(Superseded, match="attempt 10 of this job has begun, so attempt 9 ends"):
        older.check()


def test_who_asks_at_every_step_notices_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    older = begun(JobFolder(tmp_path), 1)
    assert not older.notices()
    begun(JobFolder(tmp_path), 2)
    assert not older.notices(), "it has just looked"
    now[0] += 1
    assert older.notices()


def test_by_hand_and_by_an_older_version_nobody_is_kept_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ATTEMPT_VARIABLE, raising=False)
    Fence.here().check()
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path / "attempts" / "1"))
    Fence.here().check()
    assert not Fence.here().notices()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"none"])
def test_a_mark_that_names_no_attempt_supersedes_none(tmp_path: Path, content: bytes) -> None:
    """That it cannot be told now is an error of the disk, which is tried again; superseded is for good."""
    own = begun(JobFolder(tmp_path), 1)
    (JobFolder(tmp_path).attempts / NEWEST).write_bytes(content)
    with pytest.raises(OSError, match="newest"):
        own.check()
    assert not own.notices()
    begun(JobFolder(tmp_path), 2).check()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_text("of the newer one")
    (tmp_path / ".model.attempt-1.partial").write_text("left by a kill")
    (tmp_path / ".model.partial").write_text("left by a kill, by hand")
    older = begun(JobFolder(tmp_path), 2)
    with pytest.raises(Superseded), older.replacing(target) as file:
        assert [path.name for path in tmp_path.glob(".model*")] == []
        file.write_text("of the older one")
        newer = begun(JobFolder(tmp_path), 3)
    assert target.read_text() == "of the newer one" and not list(tmp_path.glob(".model*"))
    with newer.replacing(target) as file:
        file.write_text("new")
    assert target.read_text() == "new" and not list(tmp_path.glob(".model*"))
