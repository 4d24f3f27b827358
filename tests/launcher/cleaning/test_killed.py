"""A clean that is killed at any of its calls leaves every run whole, and the next one finds what it left."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.actions.clean import clean
from launcher.runs.folder import RunFolder
from launcher.snapshot import store
from support import kept_runs
from support.kept_runs import make, save, steps

CHANGING = ("rename", "unlink", "rmdir", "fsync", "chmod", "replace")


class Killed(BaseException):
    """As by SIGKILL: nothing after it is done."""


class Calls:
    """Calls that change the disk, in order; the process dies before the one of a number."""

    def __init__(self, patch: pytest.MonkeyPatch, last: int | None = None) -> None:
        self.made: list[tuple[str, str]] = []
        self.last = last
        for name in CHANGING:
            patch.setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(what: Any, *more: Any, **named: Any) -> Any:
            if len(self.made) == self.last:
                raise Killed
            self.made.append((name, os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else str(what)))
            return call(what, *more, **named)

        return counted


def folder(runs: Path) -> Path:
    """A folder of runs with something of each kind that may go."""
    old = make(runs, "old", kept_runs.job("train"), kept_runs.job("other"), done=("train", "other"))
    for name in ("train", "other"):
        save(old.job(name).checkpoints, {3: 1.0, 5: 9.0, 7: 8.0})
    source = {"source": f"run:{old.path}/train@3"}
    make(runs, "new", kept_runs.job("tune", model={"init": source}))
    (old.job("other").checkpoints / ".step-0000002.attempt-1.partial").mkdir()
    for name in ("a.py", "b.py"):
        kept_runs.age(kept_runs.take_code(runs, name), 2)
    return runs


def check(runs: Path) -> None:
    old = RunFolder(runs / "old")
    assert {3, 5} <= set(steps(old, "train")) and 5 in steps(old, "other")
    assert all(store.is_whole(copy) for copy in (runs / ".code").glob("[!.]*"))


def cleaned(runs: Path) -> None:
    clean(runs, None, "best", 0.0, False, lambda thing: None)


def test_killed_at_any_call_it_leaves_runs_whole(tmp_path: Path) -> None:
    made = folder(tmp_path / "made")
    whole = shutil.copytree(made, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        cleaned(whole)
    assert len(calls.made) > 30
    for last in range(len(calls.made)):
        runs = shutil.copytree(made, tmp_path / str(last))
        with pytest.MonkeyPatch.context() as patch:
            Calls(patch, last)
            with pytest.raises(Killed):
                cleaned(runs)
        check(runs)
        cleaned(runs)
        check(runs)
        old = RunFolder(runs / "old")
        assert (steps(old, "train"), steps(old, "other")) == ([3, 5], [5])
        assert os.listdir(runs / ".code") == []
        assert len(os.listdir(old.job("other").checkpoints)) == 1


def test_a_power_cut_finds_no_half_checkpoint(tmp_path: Path) -> None:
    """The new name is on the disk before anything that it holds is deleted."""
    runs = folder(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        cleaned(runs)
    for number, (name, what) in enumerate(calls.made):
        if name == "rename":
            parent = str(Path(what).parent)
            after = calls.made[number + 1 :]
            synced = next(index for index, call in enumerate(after) if call == ("fsync", parent))
            assert not any(kind in ("unlink", "rmdir") for kind, _ in after[:synced])


def test_what_somebody_needs_comes_back_after_a_kill(tmp_path: Path) -> None:
    """Hidden, and killed before it could ask once more, while a run was submitted that needs it."""
    old = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(old.job("train").checkpoints, {3: 1.0, 5: 9.0, 7: 8.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("launcher.cleaning.remove._erase", lambda *_: None)
        clean(tmp_path, None, "none", 0.0, False, lambda thing: None)
    assert steps(old, "train") == []
    make(tmp_path, "new", kept_runs.job("tune", model={"init": {"source": f"run:{old.path}/train@best"}}))
    clean(tmp_path, None, "none", 0.0, False, lambda thing: None)
    assert steps(old, "train") == [5]
