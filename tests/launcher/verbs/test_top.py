"""`top`: what the jobs of all runs occupy, and how many wait; each scheduler is asked once, and waited for once."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from launcher import locks, machine
from launcher.attempt import processes
from launcher.backends import look, look_all
from launcher.backends.kubernetes.cluster import UnansweredError
from launcher.backends.slurm import queue
from launcher.runs.folder import RunFolder
from launcher.runs.load import loads
from launcher.runs.state import JobState, Status
from launcher.view.top import top_report
from locat.contract import durable
from locat.contract.job_folder import ATTEMPT_VARIABLE
from locat.contract.progress import ProgressRecord
from support import small_runs

GIB = 1 << 30


@contextmanager
def held(*files: Path) -> Iterator[None]:
    descriptors = [descriptor for file in files if (descriptor := locks.acquire(file)) is not None]
    assert len(descriptors) == len(files)
    yield
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunFolder]]:
    """One run with a job that runs, one queued and one pending; one with a job on GPUs; one that is done."""
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.setattr(machine, "gpus", lambda: ["0", "1"])
    jobs = (small_runs.job("train", cpus=99), small_runs.job("other"), small_runs.job("compare", needs=("train",)))
    first = small_runs.make(tmp_path, *jobs, name="first")
    second = small_runs.make(tmp_path, small_runs.job("big", cpus=3, gpus=2), name="second")
    over = small_runs.make(tmp_path, small_runs.job("a"), name="over")
    stopped = small_runs.make(tmp_path, small_runs.job("a"), name="stopped")
    JobState(Status.DONE, 1, started=0.0, ended=1.0).write(over.job("a").state)
    JobState(Status.RUNNING, 1, started=time.time() - 45.5).write(first.job("train").state)
    JobState(Status.RUNNING, 1, started=time.time() - 3600.5, host=machine.host()).write(second.job("big").state)
    ProgressRecord("train", 120, 300, "step", 7.31, 1.0, 10.5 * GIB, 140.0 * GIB).write(second.job("big").progress)
    with held(first.supervisor_lock, first.job_lock("train"), second.job_lock("big")):
        yield [first, second, over, stopped]


def test_a_row_per_job_that_runs_and_one_for_those_that_wait(runs: list[RunFolder]) -> None:
    said = small_runs.cli(runs[0], "top").stdout.splitlines()
    assert said[0] == "2 runs: 2 jobs running, 1 queued, 1 pending; held: 7 of 4 cores, 2 of 2 GPUs"
    assert [line.split() for line in said[2:] if line] == [
        ["run", "job", "cores", "GPUs", "GPU", "memory", "done", "rate", "left", "duration"],
        [*(each for each in said[3].split())],
        ["second", "big", "3", "2", "10.5", "GiB", "40%", "7.31", "step/s", "0:24", "1:00:00"],
        ["first", "train", "4", "0:45"],
        ["first", "(1", "queued,", "1", "pending)"],
    ]


def test_on_a_narrow_terminal_no_line_is_broken(runs: list[RunFolder]) -> None:
    found = loads({run: look(run, run.plan()) for run in runs})
    for width in (40, 80):
        out = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
        out.print(top_report(found, width))
        assert isinstance(out.file, io.StringIO)
        said = out.file.getvalue()
        assert max(map(cell_len, said.splitlines())) <= width
        for part in ("second\nbig  cores 3  GPUs 2", "GPU memory 10.5 GiB", "7.31 step/s", "for 1:00:00", "pending)"):
            assert part in said, said


def test_what_a_job_counts_commands_no_terminal(runs: list[RunFolder]) -> None:
    ProgressRecord("fit", 1, 0, "\x1b]0;owned\x07", 2.0).write(runs[1].job("big").progress)
    found = loads({run: look(run, run.plan()) for run in runs})
    for width in (40, 200):
        out = Console(file=io.StringIO(), width=width)
        out.print(top_report(found, width))
        assert isinstance(out.file, io.StringIO) and "\x1b" not in out.file.getvalue()
        assert "2 \\x1b]" in out.file.getvalue()


def test_programs_get_it_all(runs: list[RunFolder]) -> None:
    told = json.loads(small_runs.cli(runs[0], "top", "--json").stdout)
    assert told["held"] == {"jobs": 2, "cores": 7, "gpus": 2, "memory": 0}
    assert told["machine"] == {"cores": 4, "gpus": 2} and told["notes"] == []
    second, first = told["runs"]
    assert (first["run"], first["status"], first["queued"], first["pending"]) == ("first", "running", 1, 1)
    assert (second["run"], second["status"], second["backend"]) == (
        "second",
        "stopped",
        "local",
    )
    (job,) = second["jobs"]
    assert job["progress"].pop("phase") == "train" and job.pop("progress")["rate"] == 7.31
    assert time.time() - job.pop("started") > 3600
    assert job == {"name": "big", "host": machine.host(), "nodes": 1, "cores": 3, "gpus": 2, "memory": None}


def test_memory_is_that_of_a_jobs_processes(runs: list[RunFolder]) -> None:
    job = runs[0].job("train")
    code = "import time; hold = b'x' * (64 << 20); print('up', flush=True); time.sleep(60)"
    environment = {**os.environ, ATTEMPT_VARIABLE: str(job.attempt(1))}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process, closing(process.stdout):  # type: ignore[type-var]
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        found = processes.memory([job, runs[1].job("big")])
        said = small_runs.cli(runs[0], "top").stdout
        process.kill()
    assert list(found) == [job.path] and 64 << 20 < found[job.path] < 2 * GIB
    assert re.search(r"held: .*, 0\.\d GiB of memory$", said.splitlines()[0])


def test_watching_goes_on_until_ctrl_c_and_says_each_trouble_once(
    runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs[2].path / "plan.json").write_text("{")
    pauses: list[float] = []
    really = time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            return really(seconds)  # of a thread that another test left
        pauses.append(seconds)
        if len(pauses) >= 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("launcher.verbs.top.time.sleep", sleep)
    answer = small_runs.cli(runs[0], "top", "--watch")
    assert (
        answer.exit_code == 130 and answer.stdout.count("2 runs: 2 jobs running") == 3 and "\x1b" not in answer.stdout
    )
    assert answer.stderr.count("plan.json: cannot be read") == 1
    assert set(pauses) == {15.0}
    pauses.clear()
    answer = small_runs.cli(runs[0], "top", "--watch", "--json")
    assert [len(json.loads(line)["runs"]) for line in answer.stdout.splitlines()] == [2, 2, 2] and set(pauses) == {2.0}


def test_without_runs_there_is_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "none")
    assert small_runs.cli(run, "top").stdout.startswith("0 runs: 0 jobs running; held: 0 of ")


def test_a_run_whose_folder_was_renamed_is_shown(runs: list[RunFolder]) -> None:
    os.rename(runs[1].path, runs[1].path.with_name("moved"))
    answer = small_runs.cli(runs[0], "top")
    assert re.search(r"^moved +big +3 +2 +10\.5 GiB +40% ", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize("backend", ["slurm", "kubernetes"])
def test_a_scheduler_that_does_not_answer_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    runs = [small_runs.make(tmp_path, small_runs.job("a"), name=name, backend=backend) for name in ("a", "b", "c")]
    for run in runs:
        durable.write_json(
            run.path / "cluster.json", {"context": "c", "namespace": "other" if run.name == "c" else "n"}
        )
    asked: list[object] = []

    def silent(*about: object) -> None:
        asked.append(about)
        raise (queue.UnansweredError if backend == "slurm" else UnansweredError)("no answer within 60 s")

    monkeypatch.setattr(queue, "lines", silent)
    monkeypatch.setattr("launcher.backends.slurm.backend._owner", lambda run: ord(run.name))
    monkeypatch.setattr("launcher.backends.kubernetes.backend._snapshot", silent)
    views, _ = look_all(runs)
    assert len(asked) == (1 if backend == "slurm" else 2), "each cluster once"
    assert ["no answer within 60 s" in view.jobs[0].reason for view in views] == [True] * 3
