"""Cores and GPUs, shared by all runs of a machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher import machine
from launcher.backends.local.slots import Counter
from launcher.backends.local.supervisor import Supervisor
from launcher.plan import Resources
from launcher.runs.state import Status
from support import small_runs

ONE, TWO = Resources(cpus=1), Resources(cpus=2)
GPU = Resources(cpus=1, gpus=1)
SHOW = "import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))"


def sleep(seconds: float) -> str:
    return f"import time; time.sleep({seconds})"


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores and two GPUs."""
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")


def test_all_or_none_and_what_is_closed_is_free() -> None:
    mine, other = Counter(), Counter()
    one = mine.take("a", ONE)
    assert one and len(one.descriptors) == 1
    assert other.take("b", TWO) is None
    one.close()
    two = other.take("b", TWO)
    assert two and len(two.descriptors) == 2 and not other.tickets


def test_a_job_that_wants_more_cores_than_there_are_runs_alone() -> None:
    mine, other = Counter(), Counter()
    large = mine.take("a", Resources(cpus=64))
    assert large and other.take("b", ONE) is None
    large.close()
    assert other.take("b", ONE)


def test_gpus_are_named_and_come_with_cores() -> None:
    mine, other = Counter(), Counter()
    first, second = mine.take("a", GPU), other.take("b", GPU)
    assert first and second and (first.gpus, second.gpus) == (("4",), ("7",))
    first.close()
    assert other.take("c", Resources(cpus=2, gpus=1)) is None, "a core is missing"
    second.close()
    both = other.take("c", Resources(cpus=2, gpus=2))
    assert both and both.gpus == ("4", "7")


def test_small_jobs_do_not_pass_a_large_one_for_ever() -> None:
    small, large, late = Counter(), Counter(), Counter()
    running = small.take("a", ONE)
    assert running and large.take("large", TWO) is None
    assert small.take("b", ONE) is None, "a core is free, but somebody waits for it"
    assert late.take("c", ONE) is None
    running.close()
    assert small.take("b", ONE) is None
    taken = large.take("large", TWO)
    assert taken
    taken.close()
    assert late.take("c", ONE) is None, "b came before"
    assert small.take("b", ONE) and late.take("c", ONE)


def test_who_waits_for_gpus_lets_others_have_cores() -> None:
    mine, other = Counter(), Counter()
    gpus = mine.take("a", Resources(cpus=1, gpus=2))
    assert gpus and other.take("b", Resources(cpus=1, gpus=1)) is None
    assert other.take("c", ONE)


def test_two_that_wait_for_cores_and_gpus_do_not_wait_for_each_other() -> None:
    first, second, third = Counter(), Counter(), Counter()
    gpus = third.take("x", Resources(cpus=1, gpus=2))
    assert gpus and first.take("a", Resources(cpus=2, gpus=1)) is None  # lacks both
    assert second.take("b", Resources(cpus=1, gpus=1)) is None
    assert first.take("c", ONE) is None, "behind the other of its own run"
    gpus.close()
    assert second.take("b", Resources(cpus=1, gpus=1)) is None
    both = first.take("a", Resources(cpus=2, gpus=1))
    assert both
    both.close()
    assert second.take("b", Resources(cpus=1, gpus=1))


def test_who_gives_up_leaves_the_line() -> None:
    mine, other = Counter(), Counter()
    held = mine.take("a", ONE)
    assert held and mine.take("b", TWO) is None and other.take("c", ONE) is None
    mine.forget_all_but(["d"])
    assert not mine.tickets and other.take("c", ONE)


def test_of_who_dies_neither_slots_nor_place_in_line_stay(slots_of_this_test: Path) -> None:
    code = (
        "import os; from launcher import machine; machine.cores = lambda: 2\n"
        "from launcher.backends.local.slots import Counter; from launcher.plan import Resources; mine = Counter()\n"
        "assert mine.take('a', Resources(cpus=1)); assert mine.take('b', Resources(cpus=2)) is None\n"
        "print('up', flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout and holder.stdout.readline() == b"up\n"
        counter = Counter()
        assert counter.take("c", ONE) is None
        holder.kill()
    assert counter.take("c", ONE) and counter.take("d", ONE)
    assert not list(slots_of_this_test.glob("*-awaited/*")), "tickets are swept away"


def test_two_runs_share_cores_and_gpus_and_take_turns(tmp_path: Path) -> None:
    first, second = (
        small_runs.make(tmp_path, *(small_runs.job(f"j{i}", sleep(0.3), gpus=i % 2) for i in range(6)), name=name)
        for name in ("first", "second")
    )
    one, two = Supervisor(first, first.plan()), Supervisor(second, second.plan())
    while one.round() | two.round():
        time.sleep(0.02)
    assert small_runs.most_at_once(sorted(small_runs.spans(first) + small_runs.spans(second))) == 2
    assert {*small_runs.statuses(first).values(), *small_runs.statuses(second).values()} == {Status.DONE}
    ends = [max(end for _, end in small_runs.spans(run)) for run in (first, second)]
    starts = [min(start for start, _ in small_runs.spans(run)) for run in (first, second)]
    assert max(starts) < min(ends), "neither has waited for the whole of the other"


@pytest.mark.parametrize(("cpus", "expected"), [(1, 2), (8, 1)])
def test_no_more_jobs_at_once_than_cores(tmp_path: Path, cpus: int, expected: int) -> None:
    run = small_runs.make(tmp_path, *(small_runs.job(name, sleep(0.5), cpus=cpus) for name in "abc"))
    Supervisor(run, run.plan()).watch()
    assert small_runs.most_at_once(small_runs.spans(run)) == expected
    assert set(small_runs.statuses(run).values()) == {Status.DONE}


def test_a_job_sees_the_gpus_it_holds_and_without_any_none(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("none", SHOW), small_runs.job("both", SHOW, gpus=2))
    Supervisor(run, run.plan()).watch()
    assert [small_runs.log_of(run, name).read_text() for name in ("none", "both")] == ["''\n", "'4,7'\n"]


def test_more_gpus_than_the_machine_has_are_invalid(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", gpus=3))
    Supervisor(run, run.plan()).watch()
    assert run.state("a").status is Status.INVALID
    assert run.state("a").reason == "wants 3 GPUs, 1 more than this machine has"


def test_what_a_job_leaves_running_keeps_its_slots(tmp_path: Path) -> None:
    """A supervisor and a runner may die: the command holds what the job was given."""
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.SLEEP, cpus=2))
    supervisor = Supervisor(run, run.plan())
    supervisor.round()
    child = small_runs.until_up(run, "a")
    supervisor.started["a"].process.kill()
    supervisor.started["a"].process.wait()
    other = Counter()
    assert other.take("b", ONE) is None
    os.kill(child, signal.SIGKILL)
    small_runs.until(lambda: other.take("b", ONE))


def test_cores_follow_affinity_and_quota(tmp_path: Path) -> None:
    assert 1 <= machine.cores() <= len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine._quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine._quota(tmp_path) is None
