"""`--backend debug`: jobs in the process that submits them."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.backends import BACKENDS
from launcher.cli import cli
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from locat.contract.errors import UserError
from support import small_runs
from support.documents import ROOT

CONVERT = """\
name: tiny
jobs:
  convert: {task: convert, config: {dataset: {name: digits, train_scenes: 8, val_scenes: 8}}}
"""
TASK = ROOT / "locat/tasks/convert.py"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Command that submits `CONVERT`, after `python`."""
    (tmp_path / "tiny.yaml").write_text(CONVERT)
    return ["-m", "launcher", "submit", "tiny.yaml", "--backend", "debug", "--runs-dir", "runs"]


def of_convert(folder: Path) -> RunFolder:
    (path,) = (folder / "runs").glob("tiny-*")
    return RunFolder(path)


def test_a_breakpoint_stops_in_the_terminal(words: list[str], tmp_path: Path) -> None:
    line = next(n for n, text in enumerate(TASK.read_text().split("\n"), 1) if text.startswith("    encoding = "))
    debugger = ["-m", "pdb", "-c", f"break {TASK}:{line}", "-c", "continue"]
    asked = "p config.dataset.name, type(job).__name__\ncontinue\nquit\n"
    found = subprocess.run(
        [sys.executable, *debugger, *words], cwd=tmp_path, input=asked, capture_output=True, text=True, timeout=120
    )
    assert "('digits', 'JobFolder')" in found.stdout, found.stdout + found.stderr
    run = of_convert(tmp_path)
    assert run.state("convert").status is Status.DONE
    assert (run.job("convert").outputs / "train.beton").exists()


def stuck(words: list[str], folder: Path) -> "subprocess.Popen[str]":
    """`submit` in a job that has begun and does not end."""
    code = f"""\
import runpy, sys, time
import locat.tasks.convert as convert
convert.convert = lambda config, job: (print("up", flush=True), time.sleep(60))
sys.argv = {words[1:]}
runpy.run_module("launcher", run_name="__main__")
"""
    submit = subprocess.Popen([sys.executable, "-uc", code], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert submit.stdout is not None
    assert "up\n" in iter(submit.stdout.readline, "")
    return submit


def test_ctrl_c_ends_the_job_and_retry_goes_on(words: list[str], tmp_path: Path) -> None:
    submit = stuck(words, tmp_path)
    submit.send_signal(signal.SIGINT)
    submit.communicate(timeout=60)
    run = of_convert(tmp_path)
    assert (run.state("convert").status, run.state("convert").reason) == (Status.PREEMPTED, "stopped by Ctrl-C")
    done = subprocess.run([sys.executable, "-m", "launcher", "retry", run.name], cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == 0 and run.state("convert").status is Status.DONE


def test_cancel_ends_it_from_another_shell(words: list[str], tmp_path: Path) -> None:
    submit = stuck(words, tmp_path)
    cancelled = CliRunner().invoke(cli, ["cancel", "--grace", "0.5", "--runs-dir", str(tmp_path / "runs")])
    assert "cancelled: convert" in cancelled.output
    assert submit.wait(60) == -signal.SIGKILL


def test_several_ranks_become_one_with_a_note(tmp_path: Path) -> None:
    plan = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b", processes=2)).plan()
    assert BACKENDS["debug"].notes(plan) == ["jobs run as one rank instead of several: b"]


def test_what_cannot_be_debugged_in_one_process_is_refused(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b"))
    sharded = [replace(job, config={"strategy": {"name": "deepspeed"}}) for job in run.plan().jobs]
    BACKENDS["debug"].check(replace(run.plan(), jobs=tuple(sharded[:1])))
    with pytest.raises(UserError, match="jobs a, b: DeepSpeed trains one job in a process"):
        BACKENDS["debug"].check(replace(run.plan(), jobs=tuple(sharded)))
