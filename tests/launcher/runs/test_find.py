"""Whose run a verb takes where none is named."""

import os
from pathlib import Path

import pytest

from launcher.runs.errors import RunError
from launcher.runs.find import find
from support import small_runs, uids
from support.required import require


def test_another_users_run_is_never_the_newest_one_nor_retried(tmp_path: Path) -> None:
    require(uids.second())
    own = small_runs.make(tmp_path, small_runs.job("a"), name="own")
    foreign = small_runs.make(tmp_path, small_runs.job("a"), name="foreign")
    os.chown(foreign.path, uids.NOBODY, uids.NOBODY)
    assert find(tmp_path, None) == own
    assert find(tmp_path, "foreign") == foreign
    answer = small_runs.cli(foreign, "retry", "foreign")
    assert answer.exit_code == 2 and "another user's run" in answer.output
    assert not (foreign.path / "supervisor.log").exists()
    os.chown(own.path, uids.NOBODY, uids.NOBODY)
    with pytest.raises(RunError, match=r"no run in .* is yours"):
        find(tmp_path, None)
