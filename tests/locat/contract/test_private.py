"""What is kept and trusted later lies where nobody else can put it."""

import os
from pathlib import Path

import pytest

from locat.contract import private
from locat.contract.private import CACHES, DOWNLOADS, base, made_private, settle_caches
from support import uids
from support.required import require


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (*CACHES, *DOWNLOADS, "TMPDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(private, "temporary", lambda: [tmp_path / "tmp" / "locat-me"])


def test_caches_lie_below_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settle_caches()
    for variable in CACHES:
        folder = Path(os.environ[variable])
        assert folder.is_relative_to(tmp_path / "home/.cache/locat")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert "XDG_CACHE_HOME" not in os.environ


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere", ""])
def test_a_home_that_takes_nothing_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(private.pwd, "getpwuid", lambda uid: {}[uid])  # nor an entry in passwd
    assert base() == tmp_path / "tmp/locat-me"
    settle_caches()
    for variable in (*CACHES, *(DOWNLOADS if home else ())):
        assert Path(os.environ[variable]).is_relative_to(tmp_path / "tmp/locat-me")


def test_no_place_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(private, "temporary", lambda: [Path("/proc/locat-me")])
    with pytest.raises(private.NoPlaceError, match=r"^there is no folder for caches and locks that is yours alone: "):
        base()


def test_what_others_can_write_to_is_not_private(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert made_private(shared) == "can be written to by others"
    assert made_private(shared / "mine") == ""
    (shared / "link").symlink_to(shared / "mine")
    assert made_private(shared / "link") == "is no folder"
    (shared / "file").touch()
    assert made_private(shared / "file") == "is no folder"


def test_what_another_user_has_made_first_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a colleague on a node whose /tmp is shared, by the names that every user's cache would have."""
    require(uids.second())
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    uids.let_in(tmp_path)
    planted = tmp_path / "tmp" / "numba"
    made = uids.run_as_nobody("import sys; os.mkdir(sys.argv[1], 0o700)", str(planted))
    assert not made.returncode, made.stderr
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(planted))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settle_caches()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "home/.cache/locat/caches/numba")


def test_a_private_place_that_is_named_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "mine"))
    settle_caches()
    assert os.environ["TRITON_CACHE_DIR"] == str(tmp_path / "mine")
