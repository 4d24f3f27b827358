"""`logs --grep`: lines of all jobs that match, whatever is in the logs and in the pattern."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.actions import grep
from launcher.backends import BACKENDS, look
from launcher.backends.base import NoLogYetError
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView
from support import small_runs

HOSTILE = b"\xff\xfe\0 step 9 \x1b]0;owned\x07\n"


def write(run: RunFolder, log: str, text: bytes) -> None:
    path = run.path / "jobs" / log
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = small_runs.make(tmp_path, small_runs.job("first"), small_runs.job("second"), small_runs.job("third"))
    write(run, "first/attempts/1/rank-0.log", b"step 1\nold error\n")
    write(run, "first/attempts/2/launch.log", b"ranks start\n")
    write(run, "first/attempts/2/rank-0.log", b"step 1\r\nstep 2\n")
    write(run, "first/attempts/2/rank-10.log", b"step 2 of ten\n")
    write(run, "first/attempts/2/rank-2.log", b"step 2 of two\n")
    write(run, "second/attempts/1/launch.log", b"bar 1%\rbar 2% step 3\r\n" + HOSTILE + b"step 4, torn")
    return run


def found(run: RunFolder, *arguments: str) -> list[str]:
    answer = small_runs.cli(run, "logs", "--grep", *arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout.splitlines()


def test_lines_of_all_jobs_and_ranks_each_with_its_job(run: RunFolder) -> None:
    assert found(run, r"step \d") == [
        *("first: step 1", "first: step 2", "first rank 2: step 2 of two", "first rank 10: step 2 of ten"),
        *("second: bar 2% step 3", r"second: \xff\xfe\x00 step 9 \x1b]0;owned\x07", "second: step 4, torn"),
    ]
    assert found(run, "^ranks|^old") == ["first: ranks start"]
    assert found(run, "^ranks|^old", "--all-attempts") == ["first attempt 1: old error", "first attempt 2: ranks start"]
    assert found(run, "step", "--attempt", "1", "--rank", "0") == ["first: step 1"]
    assert found(run, "step", "test", "first", "--rank", "2") == ["first rank 2: step 2 of two"]


def test_what_is_not_there_is_said(run: RunFolder) -> None:
    answer = small_runs.cli(run, "logs", "--grep", "no\nsuch\x1b")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert answer.stderr == "nothing matches 'no\\nsuch\\x1b' in the logs of 2 jobs\n"
    assert small_runs.cli(run, "logs", "--grep", "step", "test", "third").stderr == "there are no such logs yet\n"
    log = run.path / "jobs/first/attempts/2/rank-0.log"
    log.unlink()
    os.mkfifo(log)
    answer = small_runs.cli(run, "logs", "--grep", "step", "test", "first", "--rank", "0")
    assert "rank-0.log cannot be read: no regular file" in answer.stderr


@pytest.mark.parametrize("pattern", ["(", "*a", "a{99999999999999}", "(" * 20_000, "(?P<n"])
def test_a_bad_pattern_is_one_sentence(run: RunFolder, pattern: str) -> None:
    answer = small_runs.cli(run, "logs", "--grep", pattern)
    assert answer.exit_code == 2 and answer.stderr.count("\n") == 1
    assert "is no regular expression" in answer.stderr and "put a backslash" in answer.stderr


def test_no_pattern_hangs_on_any_line(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "PATIENCE", 0.2)
    write(run, "third/attempts/1/rank-0.log", b"a" * 60 + b"!\n")
    began = time.process_time()
    answer = small_runs.cli(run, "logs", "--grep", "(a+)+$")
    assert answer.exit_code == 2 and "takes too long" in answer.stderr
    assert time.process_time() - began < 5
    assert found(run, "a!") == ["third: " + "a" * 60 + "!"]


def test_a_line_longer_than_memory_is_searched_in_pieces(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "BLOCK", 10)
    write(run, "third/attempts/1/rank-0.log", b"x" * 25 + b"\nnext\nlast x")
    assert found(run, "x", "test", "third") == [
        f"third: {part}" for part in ("x" * 10, "x" * 10, "x" * 5, "next", "last x")
    ]


def followed(run: RunFolder, monkeypatch: pytest.MonkeyPatch, *between: Callable[[], None]) -> list[str]:
    """What is printed while this happens between two looks; at the last one the run has ended."""

    def views(run: RunFolder, plan: Plan) -> Iterator[RunView]:
        for each in between:
            yield look(run, plan)
            each()
        yield look(run, plan)

    monkeypatch.setattr(grep, "views", views)
    return found(run, "step", "--follow")


def test_followed_lines_come_once_and_whole_also_of_a_new_attempt(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = followed(
        run,
        monkeypatch,
        lambda: write(run, "second/attempts/1/launch.log", b" no more\nstep 5 ha"),
        lambda: write(run, "second/attempts/1/launch.log", b"lf\n"),
        lambda: (
            write(run, "second/attempts/1/launch.log", b"step 6, the last of the attempt\n"),
            write(run, "second/attempts/2/rank-0.log", b"step 6 again\n"),
            write(run, "third/attempts/1/rank-0.log", b"step 1"),
        )[0],
    )
    assert lines[-5:] == [
        *("second: step 4, torn no more", "second: step 5 half"),
        *("second: step 6, the last of the attempt", "second: step 6 again", "third: step 1"),
    ]
    assert len(lines) == len(set(lines))


def test_logs_that_a_backend_has_are_searched_too(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def log(run: RunFolder, job: str, rank: object, attempt: object, follow: bool) -> Iterator[str]:
        if job == "third":
            raise NoLogYetError("it has none")
        return iter([f"[rank 0] step of {job}\n", "other\n"])

    monkeypatch.setattr(BACKENDS["local"], "log", log)
    assert found(run, "step") == ["first: [rank 0] step of first", "second: [rank 0] step of second"]
    assert found(run, "step", "test", "first", "--follow") == ["first: [rank 0] step of first"]
    for arguments, told in (
        (["--follow"], "name one of first, second"),
        (["--all-attempts"], "leave --all-attempts out"),
    ):
        answer = small_runs.cli(run, "logs", "--grep", "step", *arguments)
        assert answer.exit_code == 2 and told in answer.stderr


def test_all_attempts_belong_to_a_pattern(run: RunFolder) -> None:
    for arguments in (["--all-attempts"], ["--all-attempts", "--grep", "x", "--attempt", "1"]):
        assert small_runs.cli(run, "logs", *arguments).exit_code == 2
