"""docs/extend/backend.md, followed from an empty folder, and the example's backend with jobs that take no time."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from launcher.backends.base import Backend
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract.errors import UserError
from support import small_runs
from support.documents import ROOT, blocks, lines
from support.reader import Reader

PAGE = (ROOT / "docs/extend/backend.md").read_text()
EXAMPLE = ROOT / "examples/own_backend"
EXPECTED = {
    "pip install examples/own_backend": "",
    "export LAUNCHER_BACKEND=foreground": "",
    "launcher render tiny.yaml": r"\A\S*python\S* -P -m launcher\.attempt \S+/runs/tiny-\S+ convert\n\Z",
    "launcher submit tiny.yaml --set 'defaults.options={foreground: {niceness: 5}}'": (
        r"(?s)\Aconvert: running\n.*\nsubmitted tiny-"
    ),
    "launcher list": r"tiny-\S+ +done +1/1",
    "launcher status": r"convert +done +1 ",
    "launcher logs RUN convert": r"convert val: 16/16",
}
"""Commands of the page -> what they print."""


@pytest.mark.slow
def test_every_command_of_the_page_does_what_the_reader_expects(tmp_path: Path) -> None:
    reader = Reader.with_files(tmp_path, "examples/own_backend")
    installed = tmp_path / "installed"
    reader.environment["PYTHONPATH"] = f"{installed}:{os.environ.get('PYTHONPATH', ROOT)}"
    (pipeline,) = [block for language, block in blocks(PAGE) if language == "yaml"]
    (tmp_path / "tiny.yaml").write_text(pipeline)
    commands = [line for language, block in blocks(PAGE) if language == "sh" for line in lines(block)]
    assert commands == list(EXPECTED)
    offline = f"pip install --quiet --no-index --no-deps --no-build-isolation --target {installed}"
    for command in commands:
        filled = reader.filled(command) if "RUN" in command else command
        said = reader.does(filled.replace("pip install", offline))
        assert re.search(EXPECTED[command], said), f"{command}\n{said}"
    (job,) = reader.run().plan().jobs
    assert job.options == {"foreground": {"niceness": 5}}
    refused = reader.does("launcher validate tiny.yaml --set 'defaults.options={foreground: {nicenes: 5}}' 2>&1", (2,))
    assert "defaults.options.foreground.nicenes: unknown key 'nicenes'; did you mean 'niceness'?" in refused
    refused = reader.does(
        "launcher validate tiny.yaml --set 'defaults.options={foreground: {niceness: 20}}' 2>&1", (2,)
    )
    assert "defaults.options.foreground.niceness: expected an integer between 0 and 19, got 20" in refused
    complete = "COMP_WORDS='launcher submit --backend f' COMP_CWORD=3 _LAUNCHER_COMPLETE=bash_complete launcher"
    assert reader.does(complete) == "plain,foreground\n"
    reader.does(f"rm -r {installed}")
    gone = reader.does("unset LAUNCHER_BACKEND; launcher list 2>&1")
    assert "done" in gone and "no backend 'foreground' on this machine" in gone
    assert "no backend 'foreground'" in reader.does("unset LAUNCHER_BACKEND; launcher status 2>&1", (2,))


def test_what_the_page_shows_is_in_the_example() -> None:
    files = {"python": EXAMPLE / "own_backend.py", "toml": EXAMPLE / "pyproject.toml"}
    shown = [(language, block) for language, block in blocks(PAGE) if language in files]
    assert len(shown) == 4
    assert not [block for language, block in shown if block not in dedented(files[language].read_text())]


def dedented(text: str) -> str:
    """As `blocks` gives them: parts of functions begin where their lines do."""
    return text + re.sub(r"^    ", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_backend", EXAMPLE / "own_backend.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def backend(example: ModuleType) -> Backend:
    found: Backend = example.ForegroundBackend()
    return found


def statuses(backend: Backend, run: RunFolder) -> dict[str, Status]:
    return {job.name: job.status for job in backend.look(run, run.plan()).jobs}


def test_jobs_run_in_turn_and_are_retried(tmp_path: Path, backend: Backend) -> None:
    first = small_runs.job("a", small_runs.FAIL_ONCE, retries=1)
    run = small_runs.make(tmp_path, first, small_runs.job("b", needs=("a",)), small_runs.job("c"))
    assert backend.start(run) == "ran until nothing was left to run: done"
    assert [run.state(name).attempt for name in "abc"] == [2, 1, 1]
    assert small_runs.most_at_once(small_runs.spans(run)) == 1


def test_a_failed_job_blocks_what_needs_it(tmp_path: Path, backend: Backend) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "exit(3)"), small_runs.job("b", needs=("a",)))
    assert backend.start(run) == "ran until nothing was left to run: failed"
    assert statuses(backend, run) == {"a": Status.FAILED, "b": Status.BLOCKED}


def test_what_is_rendered_is_what_runs(tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    started = subprocess.Popen

    def noted(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        ran.append(command)
        return started(command, **options)  # type: ignore[call-overload, no-any-return]

    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b", needs=("a",)))
    monkeypatch.setattr(subprocess, "Popen", noted)
    backend.start(run)
    assert [" ".join(command) for command in ran] == backend.render(run.plan()).splitlines()


def test_an_attempt_that_begins_nothing_is_not_repeated(
    tmp_path: Path, example: ModuleType, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    monkeypatch.setattr(example, "command", lambda plan, job: [sys.executable, "-c", "exit(1)"])
    with pytest.raises(UserError, match="exit code 1 and began nothing"):
        backend.start(run)


@pytest.mark.parametrize("code", [small_runs.SLEEP, small_runs.STUBBORN])
def test_it_is_stopped_from_another_shell(tmp_path: Path, backend: Backend, code: str) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", code), small_runs.job("b"))
    shell = threading.Thread(target=backend.start, args=(run,))
    shell.start()
    small_runs.until_up(run, "a")
    assert backend.look(run, run.plan()).supervised
    run.cancelled.touch()
    backend.stop(run, ["a", "b"], grace=1)
    shell.join(small_runs.TIMEOUT)
    assert statuses(backend, run) == {"a": Status.CANCELLED, "b": Status.CANCELLED}


def test_a_second_shell_starts_nothing(tmp_path: Path, backend: Backend) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.CHECKPOINT_AT_FIRST))
    shell = threading.Thread(target=backend.start, args=(run,))
    shell.start()
    pid = small_runs.until_up(run, "a")
    assert backend.start(run) == "another shell runs its jobs already"
    os.kill(pid, signal.SIGTERM)
    shell.join(small_runs.TIMEOUT)
    assert run.state("a") != JobState()
