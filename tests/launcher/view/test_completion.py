"""What the shell offers at the tab key."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from click.shell_completion import ShellComplete

from launcher.cli import VERBS, cli
from support import small_runs


def offered(folder: Path, *words: str) -> list[str]:
    """What a shell would offer for the last of these words."""
    shell = ShellComplete(cli, {}, "launcher", "_LAUNCHER_COMPLETE")
    with mock.patch.dict(os.environ, {"LAUNCHER_RUNS": str(folder)}):
        return [each.value for each in shell.get_completions(list(words[:-1]), words[-1])]


def test_verbs_are_offered(tmp_path: Path) -> None:
    assert offered(tmp_path, "") == list(VERBS)
    assert offered(tmp_path, "re") == ["render", "retry", "report"]


def test_examples_are_offered(tmp_path: Path) -> None:
    assert offered(tmp_path, "init", "--example", "dig") == ["digits", "digits_parts"]


def test_runs_are_offered_newest_first_by_every_verb_that_takes_one(tmp_path: Path) -> None:
    for name in ("digits-1", "other-1", "digits-2"):
        small_runs.make(tmp_path, small_runs.job("a"), name=name)
    verbs = {verb for verb in VERBS if offered(tmp_path, verb, "di") == ["digits-2", "digits-1"]}
    assert VERBS.keys() - verbs == {"init", "submit", "validate", "render", "list", "top", "doctor"}


@pytest.mark.parametrize("verb", ["logs", "cancel", "retry"])
def test_jobs_of_the_run_are_offered(tmp_path: Path, verb: str) -> None:
    small_runs.make(
        tmp_path,
        small_runs.job("convert"),
        small_runs.job("pretrain-vit"),
        small_runs.job("pretrain-locat"),
        name="digits-1",
    )
    assert offered(tmp_path, verb, "digits-1", "pre") == ["pretrain-vit", "pretrain-locat"]
    assert offered(tmp_path, verb, "no-such-run", "pre") == []


def test_there_is_nothing_to_offer_without_runs(tmp_path: Path) -> None:
    assert offered(tmp_path / "none", "status", "") == []


def test_bash_is_answered(tmp_path: Path) -> None:
    words = {"_LAUNCHER_COMPLETE": "bash_complete", "COMP_WORDS": "launcher val", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from launcher.cli import main; main()"]
    answer = subprocess.run(command, env={**os.environ, **words}, capture_output=True, text=True, check=False)
    assert answer.stdout == "plain,validate\n"
