"""`launcher compare` and `launcher diff`: what they show of run folders, which they only read."""

import csv
import io
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.comparing import numbers
from launcher.plan import Plan, PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.view import columns
from locat.contract.metric_record import Record
from locat.contract.source import Machine, Origin, Source
from support import small_runs

Config = dict[str, Any]


def job(name: str, **config: Any) -> PlannedJob:
    return replace(small_runs.job(name), config={"task": "train", **config})


def record(run: RunFolder, name: str, *steps: dict[str, float], status: Status = Status.DONE) -> None:
    run.job(name).metrics.write_bytes(b"".join(Record(i, 0.0, each).to_line() for i, each in enumerate(steps)))
    JobState(status, 1, started=1.0).write(run.job(name).state)


def source(digest: str, patch: str = "") -> Source:
    """A record of code that was taken from one checkout."""
    origin = Origin("/home/me", ("launcher", "locat"), commit=digest * 3, patch=patch)
    return Source(digest, "", 2, 10, 1.5, "submit", (origin,), "3.12", installed={"torch": "2.11", "x": digest})


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two learning rates, two seeds each; data that is read, and has no numbers."""
    data = {"train": str(tmp_path / "test/jobs/convert/outputs/train.beton")}
    jobs = [job(f"t-{lr}-{seed}", lr=lr, seed=seed, epochs=3, data=data) for lr in (0.1, 0.2) for seed in (0, 1)]
    run = small_runs.make(tmp_path, replace(job("convert"), config={"task": "convert", "source": "x"}), *jobs)
    for i, each in enumerate(jobs):
        record(run, each.name, {"train/loss": 3 - i, "val/top1": 50.5}, {"train/loss": 2.0 - i, "val/top1": 60 + i})
    return run


def shown(run: RunFolder, *arguments: str) -> list[list[str]]:
    answer = small_runs.cli(run, *arguments)
    assert answer.exit_code == 0, answer.output
    return [line.split() for line in answer.stdout.splitlines()]


def refused(run: RunFolder, *arguments: str) -> str:
    answer = small_runs.cli(run, *arguments)
    assert answer.exit_code == 2 and answer.stdout == "" and len(answer.stderr.splitlines()) == 1, answer.output
    return answer.stderr


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_a_row_per_job_with_what_differs(run: RunFolder) -> None:
    before = snapshot(run.path.parent)
    header, _, *rows = shown(run, "compare")
    assert header == ["job", "lr", "seed", "val/top1", "train/loss"]
    assert rows[0] == ["t-0.1-0", "0.1", "0", "60", "2"] and rows[3] == ["t-0.2-1", "0.2", "1", "63", "-1"]
    assert len(rows) == 4
    _, _, *best = shown(run, "compare", "--metric", "train/loss@0", "--metric", "val/top1@smallest", "--sort", "-lr")
    assert [row[0] for row in best] == ["t-0.2-0", "t-0.2-1", "t-0.1-0", "t-0.1-1"] and best[0][-2:] == ["1", "50.5"]
    _, _, *few = shown(run, "compare", "--where", "lr>0.1 epochs=3", "--where", "val/top1>62")
    assert few == [["t-0.2-1", "63", "-1"]]
    assert snapshot(run.path.parent) == before


def test_over_seeds(run: RunFolder) -> None:
    header, _, *rows = shown(run, "compare", "--over-seeds", "--metric", "val/top1")
    assert header == ["job", "lr", "seeds", "val/top1", "val/top1", "sd"]
    assert rows == [["t-0.1-*", "0.1", "0", "1", "60.5", "0.707107"], ["t-0.2-*", "0.2", "0", "1", "62.5", "0.707107"]]


def test_for_programs(run: RunFolder) -> None:
    record(run, "t-0.1-0", {"val/top1": math.nan, "train/loss": 1.0}, status=Status.RUNNING)
    found = json.loads(small_runs.cli(run, "compare", "--json").stdout)
    assert found["columns"] == ["run", "job", "status", "lr", "seed", "val/top1", "train/loss"]
    assert found["rows"][0] == {
        **{"run": "test", "job": "t-0.1-0", "status": "running"},
        **{"lr": 0.1, "seed": 0, "val/top1": "nan", "train/loss": 1.0},
    }
    lines = [*csv.reader(io.StringIO(small_runs.cli(run, "compare", "--csv").stdout))]
    assert lines[0] == found["columns"] and lines[2][:6] == ["test", "t-0.1-1", "done", "0.1", "1", "61.0"]
    assert shown(run, "compare")[0][:2] == ["job", "status"]
    assert "not both" in refused(run, "compare", "--csv", "--json")


def test_mistakes_are_one_sentence(run: RunFolder) -> None:
    assert "did you mean 'val/top1'" in refused(run, "compare", "--metric", "val/top")
    assert "has recorded 'val/top1' at step 9" in refused(run, "compare", "--metric", "val/top1@9")
    assert "has recorded 'val/top'" in refused(run, "compare", "--metric", "val/top1", "--metric", "val/top")
    assert "no job has 'epoch'; did you mean 'epochs'" in refused(run, "compare", "--where", "epoch=3")
    assert "no job has 'val/x' (a metric must be among" in refused(run, "compare", "--sort", "-val/x")
    assert "no run 'nope'" in refused(run, "compare", "nope")
    assert "name two runs, or two jobs as RUN/JOB" in refused(run, "diff", "test", "test/convert")
    assert "no job 'x' in run test" in refused(run, "diff", "test/x", "test")
    small_runs.make(run.path.parent, small_runs.job("a"), name="new")
    assert "no job of new has recorded 'val/*'" in refused(run, "compare", "new")


@pytest.mark.parametrize("verb", [("compare", "test"), ("diff", "test", "test")])
def test_damaged_files_are_one_sentence(run: RunFolder, verb: tuple[str, ...]) -> None:
    log, state, plan = run.job("t-0.1-0").metrics, run.job("t-0.1-0").state, run.path / "plan.json"
    for file, text in ((state, "[]"), (plan, plan.read_text().replace('"task": "train",', '"task": "train"'))):
        whole = file.read_text()
        file.write_text(text)
        assert str(file) in refused(run, *verb)
        file.write_text(whole)
    log.unlink()
    os.mkfifo(log)
    assert f"{log}: cannot be read" in refused(run, *verb)
    log.unlink()
    state.unlink()
    state.mkdir()
    assert f"{state}: cannot be read" in refused(run, *verb)
    state.rmdir()
    values = json.loads(plan.read_text())
    values["jobs"][1]["config"] = [1]
    plan.write_text(json.dumps(values))
    assert str(plan) in refused(run, *verb)


def test_lines_that_are_no_records_are_told(run: RunFolder) -> None:
    with run.job("t-0.2-1").metrics.open("a") as log:
        log.write('{"val/top1": 7}\n')
    answer = small_runs.cli(run, "compare")
    assert "t-0.2-1  0.2     1        63          -1" in answer.stdout
    assert answer.stderr.startswith("note: ") and answer.stderr.endswith("lines that are no records are left out\n")


def test_names_command_no_terminal(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, job("a", model="\x1b[2J\nx"), job("b", model="\u202e"))
    record(run, "a", {"\x1b]0;": 1.0, "train/loss": 1.0})
    record(run, "b", {"\x1b]0;": 1.0, "train/loss": 2.0})
    for arguments in (
        ("compare",),
        ("compare", "--csv", "--metric", "\x1b]0;"),
        ("compare", "--json"),
        ("diff", "test/a", "test/b"),
    ):
        said = small_runs.cli(run, *arguments)
        assert said.exit_code == 0 and not {"\x1b", "\u202e"} & set(said.output), arguments
    assert "\\x1b[2J\\nx" in small_runs.cli(run, "compare").stdout


def test_a_narrow_terminal_gets_blocks_and_nothing_is_lost() -> None:
    names = ["job", *(f"column-{i}" for i in range(9))]
    rows = [{name: f"{name}/{i}" for name in names} for i in range(2)]
    text = columns.text(names, rows, frozenset(), 1, width=40)
    assert max(map(len, text.splitlines())) <= 40 and text.count("\njob") + text.startswith("job") > 3
    assert all(f"column-{i}/1" in text for i in range(9))
    assert len(columns.text(names, rows, frozenset(), 1, width=None).splitlines()) == 4


def test_a_thousand_jobs_cost_a_thousand_small_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = tuple(job(f"j-{i}", lr=i % 7, seed=i) for i in range(1000))
    plan = Plan("big", "test", "", tmp_path / "big", "", "test", jobs)
    run = RunFolder(tmp_path / "big")
    (run.path / "jobs").mkdir(parents=True)
    (run.path / "plan.json").write_text(plan.to_json())
    log = tmp_path / "log"
    log.write_bytes(b"".join(Record(i, 0.0, {"train/loss": 1.0, "val/top1": i}).to_line() for i in range(5000)))
    for each in jobs:
        run.job(each.name).path.mkdir()
        run.job(each.name).metrics.symlink_to(log)
    parsed: list[bytes] = []
    read: list[bytes] = []
    whole, lines = Record.from_line, numbers._lines_backwards

    def counted(file: Any) -> Iterator[bytes]:
        for line in lines(file):
            read.append(line)
            yield line

    monkeypatch.setattr(Record, "from_line", lambda line: parsed.append(line) or whole(line))
    monkeypatch.setattr(numbers, "_lines_backwards", counted)
    begin = time.process_time()
    header, _, *rows = shown(run, "compare", "--over-seeds")
    print(f"{time.process_time() - begin:.2f} s of processor time")
    assert header[:3] == ["job", "status", "lr"] and len(rows) == 7
    assert len(parsed) == len(read) == 1000


def test_diff_of_jobs_and_of_runs(run: RunFolder) -> None:
    assert shown(run, "diff", "test/t-0.1-0", "test/t-0.2-0")[2:] == [
        ["code:", "nothing", "is", "recorded", "of", "it"],
        ["config:"],
        ["lr:", "0.1", "->", "0.2"],
        *([f"{section}:", "the", "same"] for section in ("environment", "data", "image")),
        ["losses:"],
        ["part", "at", "step", "0:", "train/loss", "3.0", "->", "1.0"],
    ]
    plan = run.plan()
    changed = [
        replace(each, image="img" * (each.name == "convert"), config={**each.config, "epochs": 4}) for each in plan.jobs
    ]
    other = small_runs.make(run.path.parent, *changed[:-1], job("more"), name="other")
    for folder, digest in ((run, "aa"), (other, "bb")):
        folder.job("convert").outputs.mkdir()
        (folder.job("convert").outputs / "train.beton").touch()
        (folder.job("convert").outputs / "train.beton.json").write_text(json.dumps({"sha256": digest}))
        source(digest, "source-1.patch" if digest == "bb" else "").write(folder.path)
    record(other, "t-0.1-0", {"train/loss": 3.0, "val/top1": 50.5}, {"train/loss": 2.0})
    record(other, "t-0.1-1", {"train/loss": 2.0, "val/top1": 50.5}, {"train/loss": 1.0, "val/top1": 61.5})
    text = small_runs.cli(run, "diff", "test", "other").stdout
    for line in (
        "only A has t-0.2-1\nonly B has more\ncode:\n  digest: aa -> bb\n",
        "commit of launcher and locat: aaaaaa -> bbbbbb",
        f"patch of launcher and locat: none -> {other.path}/source-1.patch",
        "config:\n  epochs: none -> 4 (convert)\n  epochs: 3 -> 4 (t-0.1-0, t-0.1-1, t-0.2-0)\n",
        "environment:\n  package x: aa -> bb\n",
        "outputs.train: aa -> bb (convert)",
        "image: none -> img (convert)",
        "t-0.1-1: part at step 1: val/top1 61.0 -> 61.5, after 3 equal numbers",
        "the same wherever both recorded one (3 numbers): t-0.1-0",
    ):
        assert line in text, text
    found = json.loads(small_runs.cli(run, "diff", "test", "other", "--json").stdout)
    assert found["config"][1] == {"key": "epochs", "a": 3, "b": 4, "jobs": ["t-0.1-0", "t-0.1-1", "t-0.2-0"]}
    assert {"job": "t-0.1-1", "equal": 3, "step": 1, "metric": "val/top1", "a": 61.0, "b": 61.5} in found["losses"]
    (other.path / "source.json").write_text('{"origins": 3}')
    assert "source.json: cannot be read" in refused(run, "diff", "test", "other")
    (other.path / "source.json").unlink()
    assert (
        "code: nothing is recorded of B's\n  digest: aa -> none" in small_runs.cli(run, "diff", "test", "other").stdout
    )


def test_diff_tells_the_code_that_each_job_ran(run: RunFolder) -> None:
    """A retry may take today's: the run's record is then of what begins from now on."""
    other = small_runs.make(run.path.parent, *run.plan().jobs, name="other")
    source("aa").write(run.path)
    source("bb", "source-1.patch").after(source("aa")).write(other.path)
    for folder, name, machine in (
        (run, "t-0.1-0", Machine("n1", "EPYC", ("H100", "H100"), code="aa")),
        (other, "t-0.1-0", Machine("n1", "EPYC", ("H200",), code="aa")),
        (other, "t-0.1-1", Machine("n1", code="of a container")),
    ):
        folder.job(name).attempt(1).mkdir(parents=True)
        machine.write(folder.job(name).attempt(1))
    text = small_runs.cli(run, "diff", "test", "other").stdout
    for line in (
        "digest: aa -> bb (convert, t-0.2-0, t-0.2-1)\n",
        f"patch of launcher and locat: none -> {other.path}/source-1.patch (convert, t-0.2-0, t-0.2-1)\n",
        "digest: aa -> none (t-0.1-1)\n",
        "gpus: H100, H100 -> H200 (t-0.1-0)\n",
        "package x: aa -> bb (convert, t-0.2-0, t-0.2-1)\n",
    ):
        assert line in text, text
    assert "code: the same" in small_runs.cli(run, "diff", "test/t-0.1-0", "other/t-0.1-0").stdout
    assert "code: nothing is recorded of B's" in small_runs.cli(run, "diff", "test/t-0.1-1", "other/t-0.1-1").stdout
    stranger = small_runs.make(run.path.parent, job("elsewhere"), name="stranger")
    source("cc").write(stranger.path)
    assert "code:\n  digest: aa -> cc\n" in small_runs.cli(run, "diff", "test", "stranger").stdout
