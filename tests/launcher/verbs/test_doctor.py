"""What `doctor` sees of homes and file systems that can do less than others."""

import errno
import fcntl
from pathlib import Path

import pytest

from launcher.verbs import doctor
from locat.contract import private


def test_a_home_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(private, "temporary", lambda: [tmp_path / "locat-me"])
    check = doctor._private()
    assert (check.good, check.found) == (True, f"{tmp_path}/locat-me; your home directory takes none")
    monkeypatch.setattr(private, "temporary", lambda: [Path("/proc/locat-me")])
    assert not doctor._private().good


def test_a_runs_folder_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._runs_folder(tmp_path / "runs").good

    def none(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    check = doctor._runs_folder(tmp_path / "runs")
    assert not check.good and "has no locks (flock: No locks available)" in check.found
    assert not list(tmp_path.iterdir())
