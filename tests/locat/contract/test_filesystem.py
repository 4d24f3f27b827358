"""File systems without links and without locks, stood in for at the calls of the kernel."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from launcher import locks
from locat.contract import filesystem
from locat.contract.filesystem import NoLocksError, write_once
from locat.contract.job_folder import ATTEMPT_VARIABLE
from locat.contract.outcome import Outcome, write_outcome

WITHOUT = [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK]


def refuse(number: int) -> object:
    def refused(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize("number", [0, *WITHOUT])
def test_the_first_outcome_stays_with_and_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Else torchrun's 1 would stand for the codes 2 and 75."""
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))
    if number:
        monkeypatch.setattr(filesystem.os, "link", refuse(number))
    write_outcome(75, "stopped")
    write_outcome(1, "the others were stopped")
    assert Outcome.read(tmp_path) == Outcome(75, "stopped")
    assert [file.name for file in tmp_path.iterdir()] == ["outcome.json"]


def test_a_full_disk_is_no_missing_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem.os, "link", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        write_once(tmp_path / "x", b"x")
    assert not list(tmp_path.iterdir())


def test_pods_in_which_processes_have_one_number_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    link, path = os.link, tmp_path / "x"

    def interrupted(source: Path, target: Path) -> None:
        """The other pod writes between this one's writing and its link."""
        monkeypatch.setattr(os, "link", link)
        assert write_once(target, b"the other's")
        link(source, target)

    monkeypatch.setattr(os, "link", interrupted)
    assert not write_once(path, b"late")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the other's"]


def test_an_outcome_that_a_kill_cut_short_is_none(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text('{"exit_code": 7')
    assert Outcome.read(tmp_path) is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    for take in (lambda: locks.acquire(tmp_path / "lock"), lambda: locks.is_held(tmp_path / "lock")):
        with pytest.raises(NoLocksError, match=r"lock: its file system has no locks .*; put the folder of runs on"):
            take()
    with pytest.raises(NoLocksError):
        locks.check(tmp_path / "runs" / "of mine")
    monkeypatch.undo()
    locks.check(tmp_path / "runs" / "of mine")
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]
