"""Long queues on a small machine: the limit holds, nothing leaks, waiting costs nothing, a death loses nothing."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import launcher.backends.local.supervisor
from launcher.backends.local.supervisor import Supervisor
from launcher.plan import PlannedJob
from launcher.runs.state import Status
from support import small_runs

TRUE = ("true",)
IDLE = 2 / 600
"""Seconds of CPU time a supervisor may take in a second in which nothing happens: two in ten minutes."""


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    """Supervisors started here may use two cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:2])
    yield
    os.sched_setaffinity(0, allowed)


def trivial(name: str, needs: tuple[str, ...] = ()) -> PlannedJob:
    return replace(small_runs.job(name, needs=needs), command=TRUE)


def cpu_time(pid: int) -> float:
    """Seconds, without those of children."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@pytest.mark.slow
def test_a_hundred_jobs_on_two_slots(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, *(trivial(f"j{i}") for i in range(100)))
    files, took = [], 0.0
    with small_runs.supervisor(run) as supervisor:
        deadline = time.monotonic() + 300
        while supervisor.poll() is None:
            assert time.monotonic() < deadline
            process = psutil.Process(supervisor.pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                files.append(process.num_fds())
                took = cpu_time(supervisor.pid)
            time.sleep(0.1)
    print(f"100 jobs: {took:.1f} s of the supervisor's CPU time, at most {max(files)} open files")
    assert set(small_runs.statuses(run).values()) == {Status.DONE}
    assert {run.state(job.name).attempt for job in run.plan().jobs} == {1}
    assert small_runs.most_at_once(small_runs.spans(run)) == 2
    assert max(files) <= 16
    assert took < 10


@pytest.mark.slow
def test_waiting_costs_next_to_nothing(tmp_path: Path) -> None:
    one = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP), name="one")
    pending = (small_runs.job(f"j{i}", needs=("a",)) for i in range(300))
    many = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP), *pending, name="many")
    with small_runs.supervisor(one) as first, small_runs.supervisor(many) as second:
        for run in (one, many):
            small_runs.until_up(run, "a")
        time.sleep(2)
        began, before = time.monotonic(), [cpu_time(each.pid) for each in (first, second)]
        time.sleep(12)
        seconds = time.monotonic() - began
        took = [cpu_time(each.pid) - start for each, start in zip((first, second), before, strict=True)]
        for run in (one, many):
            assert small_runs.cli(run, "cancel", run.name, "--grace", "0").exit_code == 0
    print("CPU time in ten idle minutes:", *(f"{each / seconds * 600:.1f} s" for each in took))
    assert max(took) / seconds < IDLE


def test_the_end_of_a_job_wakes_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of short jobs is not kept waiting by the pause between two looks for what others did."""
    monkeypatch.setattr(launcher.backends.local.supervisor, "POLL", 60.0)
    run = small_runs.make(tmp_path, *(trivial(f"j{i}", (f"j{i - 1}",) if i else ()) for i in range(4)))
    began = time.monotonic()
    Supervisor(run, run.plan()).watch()
    assert set(small_runs.statuses(run).values()) == {Status.DONE}
    assert time.monotonic() - began < 60


def test_a_queue_survives_the_death_of_its_supervisor(tmp_path: Path) -> None:
    ran, go = tmp_path / "ran", tmp_path / "go"
    held = [small_runs.job(name, small_runs.count(ran) + small_runs.wait_for(go)) for name in ("a", "b")]
    run = small_runs.make(tmp_path, *held, *(small_runs.job(f"j{i}", small_runs.count(ran)) for i in range(4)))
    with small_runs.supervisor(run) as supervisor:
        children = [small_runs.until_up(run, name) for name in ("a", "b")]
        supervisor.kill()
        supervisor.wait()
    statuses = small_runs.statuses(run)
    assert [statuses[name] for name in ("a", "b")] == [Status.RUNNING] * 2 and all(map(psutil.pid_exists, children))
    assert [statuses[f"j{i}"] for i in range(4)] == [Status.QUEUED] * 4
    status = small_runs.cli(run, "status", run.name).stdout
    assert "test: stopped" in status and "(jobs running: 2, waiting: 4)" in status, status

    retried = small_runs.cli(run, "retry", run.name).stdout
    assert retried.endswith("started a supervisor (test)\n")
    assert "to be run again" not in retried
    time.sleep(1)
    assert small_runs.statuses(run)["j0"] is Status.QUEUED, "both slots are still held"
    go.touch()
    small_runs.until(lambda: set(small_runs.statuses(run).values()) == {Status.DONE})
    assert ran.read_text() == "ran\n" * 6, "each job ran once"
    assert small_runs.most_at_once(small_runs.spans(run)) == 2
