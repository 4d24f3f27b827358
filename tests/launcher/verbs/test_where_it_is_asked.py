"""The command line in places that are no good: deleted folders, closed streams, full disks, runs that vanish."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import backends
from launcher.backends import look_all
from launcher.runs.find import list_runs
from support import small_runs

DIGITS = Path(__file__).parents[3] / "pipelines" / "digits.yaml"


def shell(script: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A shell's script, in which `launcher` is this project's."""
    launcher = f'launcher() {{ "{sys.executable}" -m launcher "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(DIGITS.parents[1]), **variables}
    return subprocess.run(
        ["bash", "-c", launcher + script], capture_output=True, text=True, cwd=folder, env=environment, timeout=100
    )


@pytest.mark.parametrize("verb", ["status", "list", f"submit {DIGITS}"])
def test_a_shell_whose_folder_was_deleted_is_told_so(tmp_path: Path, verb: str) -> None:
    small_runs.make(tmp_path / "runs", small_runs.job("a"))
    (tmp_path / "gone").mkdir()
    script = f"cd gone; rmdir ../gone; launcher {verb}"
    answer = shell(script, tmp_path, LAUNCHER_RUNS=str(tmp_path / "runs"))
    assert answer.returncode == 2 and answer.stdout == ""
    assert answer.stderr.splitlines()[-1].startswith("the folder this shell is in is gone")
    assert "Traceback" not in answer.stderr
    assert len(list_runs(tmp_path / "runs")) == 1


@pytest.mark.parametrize("verb", ["status", "status --json", "list", "logs", "validate " + str(DIGITS)])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, verb: str) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"))
    (run.job("a").attempt(1)).mkdir(parents=True)
    (run.job("a").attempt(1) / "launch.log").write_text("a line\n")
    answer = shell(f"launcher {verb} --runs-dir runs >/dev/full", tmp_path)
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.splitlines()[-1] + "\n" == "what was printed could not be written: No space left on device\n"


def test_closed_streams_hurt_nothing(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    answer = shell("launcher status --runs-dir runs >&- && launcher list --runs-dir runs <&- >&- 2>&-", tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path in before} == before


def test_a_home_folder_is_meant_by_its_sign(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "home" / "runs", small_runs.job("a"))
    home = str(tmp_path / "home")
    for words in ("launcher list '--runs-dir=~/runs'", "LAUNCHER_RUNS='~/runs' launcher list"):
        answer = shell(words, tmp_path, HOME=home)
        assert run.name in answer.stdout, answer
    answer = shell("LAUNCHER_RUNS='~/runs' launcher status", tmp_path, HOME=home)
    assert f"launcher retry {run.name}" in " ".join(answer.stdout.split())
    answer = shell("launcher list --runs-dir '~nobody-here/runs'", tmp_path)
    assert answer.returncode == 2 and "no home folder of '~nobody-here'" in answer.stderr
    answer = shell("launcher list --runs-dir $'caf\\xe9'", tmp_path)
    assert answer.returncode == 2 and "not UTF-8; give a folder whose whole path is" in answer.stderr


def test_a_run_that_is_deleted_while_runs_are_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone, before = (small_runs.make(tmp_path, small_runs.job("a"), name=name) for name in ("c", "b", "a"))
    found = list_runs(tmp_path)
    shutil.rmtree(before.path)
    real = backends.BACKENDS["local"].look_all
    monkeypatch.setattr(
        backends.BACKENDS["local"], "look_all", lambda runs: shutil.rmtree(gone.path, ignore_errors=True) or real(runs)
    )
    assert [view.plan.run_id for view in look_all(found)[0]] == [kept.name]
    answer = small_runs.cli(kept, "status", kept.name)
    assert answer.exit_code == 0
    assert gone.exists() is False
    with pytest.raises(Exception, match="this run was deleted"):
        gone.plan()
