"""Whose run a verb takes where none is named."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.runs.errors import RunError
from launcher.runs.find import find, list_runs
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


NO_NAME = "a name\x1b]0;owned\x07"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("plan.json", "{"),
        ("plan.json", "[]"),
        ("plan.json", "[" * 100_000),
        ("plan.json", json.dumps({"jobs": "none"})),
        ("plan.json", {"run_id": "../../elsewhere"}),
        ("plan.json", {"run_id": NO_NAME}),
        ("plan.json", {"description": 7}),
        ("plan.json", {"format": "two"}),
        ("plan.json", {"jobs": [{"name": "../a"}]}),
        ("plan.json", {"jobs": [{"name": "a" * 300}]}),
        ("plan.json", {"jobs": [{"needs": ["b"]}]}),
        ("jobs/a/state.json", "{"),
        ("jobs/a/state.json", json.dumps({"status": "no status"})),
        ("jobs/a/state.json", json.dumps({"status": "failed", "failures": "many"})),
        ("jobs/a/state.json", json.dumps({"status": "running", "pid": "many"})),
        ("jobs/a/state.json", '{"status": "done", "started": 1e400}'),
        ("jobs/a/state.json", json.dumps({"status": "done", "started": 10**400})),
    ],
)
def test_a_run_that_cannot_be_read_hides_no_other(tmp_path: Path, file: str, text: str | dict[str, Any]) -> None:
    """In a folder that several write to anybody may put one."""
    good = small_runs.make(tmp_path, small_runs.job("a"), name="good")
    broken = small_runs.make(tmp_path, small_runs.job("a"), name="broken")
    if isinstance(text, dict):
        values = json.loads((broken.path / file).read_text())
        jobs = [{**job, **changes} for job, changes in zip(values["jobs"], text.get("jobs", [{}]), strict=True)]
        text = json.dumps({**values, **text, "jobs": jobs})
    (broken.path / file).write_text(text)
    listed = small_runs.cli(good, "list")
    assert listed.exit_code == 0 and "good" in listed.stdout and "broken" not in listed.stdout, listed
    assert listed.stderr.startswith(f"note: {broken.path / file}: "), listed.stderr
    assert "\x1b" not in listed.output
    asked = small_runs.cli(good, "status", "broken")
    assert asked.exit_code == 2 and str(broken.path / file) in asked.output, asked


def test_what_others_call_their_runs_commands_no_terminal(tmp_path: Path) -> None:
    good = small_runs.make(tmp_path, small_runs.job("a"), name="good")
    plan = json.loads((good.path / "plan.json").read_text())
    (good.path / "plan.json").write_text(json.dumps({**plan, "description": NO_NAME}))
    small_runs.make(tmp_path, small_runs.job("a"), name="other").path.rename(tmp_path / NO_NAME.replace("/", "_"))
    assert [run.name for run in list_runs(tmp_path)] == ["good"]
    listed = small_runs.cli(good, "list")
    assert "\\x1b]0;owned\\x07" in listed.stdout and "\x1b" not in listed.output
