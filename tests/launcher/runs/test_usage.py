"""What jobs have taken: the seconds of a job add up to its wall time, whatever came in between."""

import io
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from launcher.attempt.run import attempt
from launcher.runs.attempts import AttemptRecord
from launcher.runs.folder import RunFolder
from launcher.runs.release import release
from launcher.runs.state import JobState, Status
from launcher.runs.status import status_from_folder
from launcher.runs.usage import HELD, PHASES, QUEUED, Attempt, JobUsage, account, usage
from launcher.view.usage import rows_of, usage_table
from locat.contract.usage import IDLE, WORK, UsageRecord
from support import small_runs

SECONDS = st.floats(0, 1e6)
SHARES = st.lists(st.floats(0, 1), min_size=len(WORK) + 2, max_size=len(WORK) + 2)
MOMENTS = st.floats(0, 4e9)


def told_by(seconds: float, shares: list[float], ended: float, phase: str) -> UsageRecord:
    """The record of an attempt that spent such parts of its time on work, and two of the parts untold at its end."""
    whole = sum(shares) or 1.0
    work = {name: seconds * share / whole for name, share in zip(WORK, shares, strict=False)}
    return UsageRecord(7, work, phase, ended - seconds * shares[-1] / whole)


@given(
    held=SECONDS,
    attempts=st.lists(st.tuples(SECONDS, SECONDS, SECONDS, SHARES, st.sampled_from((*WORK, IDLE)), st.booleans())),
    waits=st.none() | SECONDS,
)
def test_the_seconds_of_a_job_are_its_wall_time(
    held: float, attempts: list[tuple[float, float, float, list[float], str, bool]], waits: float | None
) -> None:
    submitted = now = 1.7e9
    ready = submitted + held
    now = ready
    done, expected = [], {HELD: held, QUEUED: 0.0}
    for asked, queued, seconds, shares, phase, tells in attempts:
        since = now + asked  # nobody asks for a retry for so long
        started = since + queued
        now = started + seconds
        record = told_by(seconds, shares, now, phase) if tells else None
        done.append(Attempt(started, now, seconds, since, record))
        expected[HELD] += asked
        expected[QUEUED] += queued
    until = None if waits is None else now + waits
    found = account(submitted, ready, done, until, now)
    wall = (now if until is None else until) - submitted
    if not attempts and waits is None:
        wall, expected = 0.0, {HELD: 0.0, QUEUED: 0.0}  # it never began, and never will
    expected[QUEUED] += waits or 0.0
    assert sum(found.values()) == pytest.approx(wall, abs=1e-4)
    assert {phase: found[phase] for phase in expected} == pytest.approx(expected, abs=1e-4)
    assert min(found.values()) >= 0 and found.keys() == set(PHASES)


@given(
    submitted=MOMENTS,
    ready=st.none() | MOMENTS,
    attempts=st.lists(st.tuples(MOMENTS, MOMENTS, SECONDS, st.none() | MOMENTS, SHARES, MOMENTS)),
    until=st.none() | MOMENTS,
)
def test_clocks_may_jump(
    submitted: float,
    ready: float | None,
    attempts: list[tuple[float, float, float, float | None, list[float], float]],
    until: float | None,
) -> None:
    """Whatever the clock on the wall says, each attempt is counted for as long as it took."""
    done = []
    for started, ended, seconds, queued, shares, updated in attempts:
        work = dict(zip(WORK, (share * 1e6 for share in shares), strict=False))  # perhaps more than it took
        done.append(Attempt(started, ended, seconds, queued, UsageRecord(1, work, "computing", updated)))
    found = account(submitted, ready, done, until)
    assert min(found.values()) >= 0
    occupied = sum(found[phase] for phase in (*WORK, IDLE))
    assert occupied == pytest.approx(sum(each.seconds for each in done), rel=1e-9)


def count(run: RunFolder) -> dict[str, JobUsage]:
    return {each.job.name: each for each in usage(run)}


def spent(found: JobUsage) -> dict[str, float]:
    return {phase: round(seconds, 3) for phase, seconds in found.seconds.items() if seconds > 0.0005}


def submitted(run: RunFolder, moment: float) -> None:
    os.utime(run.path / "plan.json", (moment, moment))


def record(run: RunFolder, job: str, number: int, told: AttemptRecord, heard: float | None = None) -> Path:
    """Write of an attempt what its runner does, last heard of then."""
    folder = run.job(job).attempt(number)
    folder.mkdir(parents=True)
    told.write(folder)
    if heard is not None:
        os.utime(folder / "attempt.json", (heard, heard))
    return folder


def test_every_attempt_is_recorded(tmp_path: Path) -> None:
    """Also what state.json forgets: the attempts before the latest, and what was before a retry by hand."""
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.FAIL_ONCE, cpus=3))
    assert attempt(run, "a").exit_code == 1
    failed = run.state("a")
    release(run, status_from_folder(run, run.plan()), ["a"])
    asked = run.job("a").state.stat().st_mtime
    assert attempt(run, "a").exit_code == 0
    first, second = (AttemptRecord.read(run.job("a").attempt(number)) for number in (1, 2))
    assert first is not None and second is not None and first.asked is None and first.ended is not None
    assert failed.started == first.started <= first.ended <= second.started and second.asked == asked
    assert first.seconds == pytest.approx(first.ended - first.started, abs=0.01)
    found = count(run)["a"]
    assert found.attempts == 2 and found.seconds["computing"] == (first.seconds or 0) + (second.seconds or 0)
    assert found.seconds[HELD] == pytest.approx(asked - first.ended)
    assert found.core_hours == pytest.approx(3 * found.seconds["computing"] / 3600) and found.gpu_hours == 0
    ended = second.started + (second.seconds or 0)
    assert found.wall == pytest.approx(ended - (run.path / "plan.json").stat().st_mtime, abs=0.01)


def test_what_waits_is_held_by_what_it_needs_and_else_queued(tmp_path: Path) -> None:
    now = time.time()
    jobs = [small_runs.job("a"), small_runs.job("b", "", ("a",)), small_runs.job("c", "", ("b",)), small_runs.job("d")]
    run = small_runs.make(tmp_path, *jobs)
    submitted(run, now - 1000)
    record(run, "a", 1, AttemptRecord(now - 900, None, now - 700, 200))
    JobState(Status.DONE, 1, started=now - 900, ended=now - 700).write(run.job("a").state)
    JobState(Status.CANCELLED).write(run.job("d").state)
    found = count(run)
    assert spent(found["a"]) == {QUEUED: 100, "computing": 200}
    assert found["b"].seconds[HELD] == pytest.approx(300) and found["b"].seconds[QUEUED] == pytest.approx(700, abs=30)
    assert found["c"].seconds[HELD] == pytest.approx(1000, abs=30) and found["c"].seconds[QUEUED] == 0
    assert spent(found["d"]) == {}
    run.supervisor_lock.touch()  # a supervisor was there and is gone: who submitted it has left it alone
    assert spent(count(run)["b"]) == {}


@pytest.mark.parametrize("how", ["told", "files", "next"])
def test_an_attempt_that_was_killed_with_its_runner_lasts_until_it_was_last_heard_of(tmp_path: Path, how: str) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    submitted(run, 10_000)
    folder = record(run, "a", 1, AttemptRecord(10_100), heard=10_150 if how != "next" else 90_000)
    if how == "told":
        UsageRecord(3, {"computing": 20.0, "evaluating": 30.0}, "computing", 10_160).write(folder)
        os.utime(folder / "usage.json", (10_160, 10_160))
    record(run, "a", 2, AttemptRecord(10_200, 10_050, 10_250, 50))
    JobState(Status.DONE, 2, started=10_200, ended=10_250).write(run.job("a").state)
    expected: Mapping[str, dict[str, float]] = {
        "told": {QUEUED: 140, "computing": 70, "evaluating": 30, IDLE: 10},
        "files": {QUEUED: 150, "computing": 100},
        "next": {QUEUED: 100, "computing": 150},
    }
    assert spent(count(run)["a"]) == expected[how] and count(run)["a"].wall == pytest.approx(250)


def test_an_older_versions_run_counts_what_its_state_knows(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    submitted(run, 10_000)
    for number in (1, 2):
        run.job("a").attempt(number).mkdir(parents=True)
    JobState(Status.DONE, 2, started=10_300, ended=10_400).write(run.job("a").state)
    assert spent(count(run)["a"]) == {QUEUED: 300, "computing": 100}
    said = small_runs.cli(run, "usage")
    assert said.stderr == "note: test: attempts before the latest are not recorded here and count as queued: a\n"


def test_of_jobs_that_write_elsewhere_those_that_have_ended_are_counted(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, *map(small_runs.job, "abc"), backend="kubernetes")
    submitted(run, 10_000)
    ends = {"a": JobState(Status.DONE, 1, started=10_300.0, ended=10_400.0), "b": JobState(Status.FAILED, 3)}
    (run.path / "ended.json").write_text(
        json.dumps({"format": 2, "jobs": {name: asdict(end) for name, end in ends.items()}})
    )
    said = small_runs.cli(run, "usage", "--json")
    rows = {row["job"]: row for row in json.loads(said.stdout)["rows"]}
    assert {name: (row["attempts"], row["wall"]) for name, row in rows.items()} == {
        "a": (1, 400),
        "b": (3, 0),
        "c": (0, 0),
    }
    assert rows["a"]["seconds"]["computing"] == 100 and said.stderr.endswith("count as queued: b\n")


@pytest.mark.parametrize("text", ["", "[1]", '{"started": "now"}', '{"started": 1e99}', '{"started": NaN}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "attempt.json").write_text(text)
    assert AttemptRecord.read(tmp_path) is None


def test_the_table_and_its_sums(tmp_path: Path) -> None:
    run = small_runs.make(
        tmp_path, small_runs.job("a", gpus=2, nodes=2, cpus=8), small_runs.job("b", cpus=4), name="one"
    )
    for name, hours in (("a", 3), ("b", 1)):
        record(run, name, 1, AttemptRecord(10_000, None, 10_000 + 3600 * hours, 3600 * hours))
        JobState(Status.DONE, 1, started=10_000, ended=10_000 + 3600 * hours).write(run.job(name).state)
    _, *lines = map(str.split, small_runs.cli(run, "usage", "one", "--price", "2.5").stdout.splitlines())
    assert lines[0] == [*("job", "attempts", "time", "computing", "GPU-hours", "estimated", "core-hours", "price")]
    assert lines[2] == [*("a", "1", "3:00:00", "3:00:00", "12.00", "unknown", "48.00", "30.00")]
    assert lines[3] == [*("b", "1", "1:00:00", "1:00:00", "4.00", "0.00")]
    assert lines[5] == [*("sum", "2", "4:00:00", "4:00:00", "12.00", "unknown", "52.00", "30.00")]
    narrow = Console(width=50, file=io.StringIO())
    narrow.print(usage_table(rows_of([(each, math.nan) for each in usage(run)], None), None, narrow))
    said = " ".join(narrow.file.getvalue().split())
    assert "attempts 1, time 3:00:00, computing 3:00:00, GPU-hours 12.00, estimated unknown, core-hours 48.00" in said
    by_task = json.loads(small_runs.cli(run, "usage", "--by", "task", "--json").stdout)
    assert [(row["task"], row["jobs"], row["gpu_hours"]) for row in by_task["rows"]] == [("test", 2, 12.0)]
    assert by_task["sum"]["core_hours"] == 52 and by_task["sum"]["estimated_gpu_hours"] is None


def test_since_when(tmp_path: Path) -> None:
    old, new = (small_runs.make(tmp_path, small_runs.job("a"), name=name) for name in ("old", "new"))
    submitted(old, time.time() - 3 * 86400)

    def runs(*words: str) -> set[str]:
        return {row["run"] for row in json.loads(small_runs.cli(new, "usage", "--json", *words).stdout)["rows"]}

    assert runs("--since", "2d") == {"new"} and runs("--since", "1w") == {"new", "old"} == runs("old", "new")
    assert runs("--since", "2026-01-01") == {"new", "old"} and runs() == {"new"}
    assert runs("--since", "1970-01-01T00:00+00:00") == {"new", "old"}  # 0, which is a moment too
    for words in (["--since", "yesterday"], ["--price", "nan"], ["--price", "-1"], ["--by", "mood"]):
        assert small_runs.cli(new, "usage", *words).exit_code == 2


def test_a_run_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    good, bad = (small_runs.make(tmp_path, small_runs.job("a"), name=name) for name in ("good", "bad"))
    bad.job("a").state.write_text("{")
    said = small_runs.cli(good, "usage", "--by", "pipeline")
    assert said.exit_code == 0 and "state.json: cannot be read" in said.stderr and "test" in said.stdout
    assert small_runs.cli(good, "usage", "bad").exit_code == 2
