"""What a job says of its end is anything: no reason ends a supervisor or a verb."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.runs.state import Status
from locat.contract.job_folder import ATTEMPT_VARIABLE
from support import small_runs

HOSTILE = os.fsdecode(b"no image: caf\xe9.png") + "\x1b[2J\r\u202e"
SHOWN = "no image: caf\\xe9.png\\x1b[2J\\x0d\\u202e"
FAILS = f"""
import json, os, sys
open(os.environ[{ATTEMPT_VARIABLE!r}] + '/outcome.json', 'w').write({json.dumps({"exit_code": 2, "reason": HOSTILE})!r})
sys.exit(2)
"""


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_no_reason_ends_a_supervisor_or_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    run = small_runs.make(tmp_path, small_runs.job("a", FAILS), small_runs.job("b"))
    small_runs.supervise(run)
    assert small_runs.statuses(run) == {"a": Status.INVALID, "b": Status.DONE}
    assert SHOWN in run.supervisor_log.read_text()
    for verb in (("status",), ("status", "--json"), ("list",)):
        command = [sys.executable, "-m", "launcher", *verb, "--runs-dir", str(tmp_path)]
        shown = subprocess.run(command, capture_output=True, check=False)
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert b"\x1b[2J" not in shown.stdout
    assert SHOWN in small_runs.view(run, "a").reason
