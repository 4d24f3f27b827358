"""What a job of any run needs is never deleted: whatever runs there are, and whenever they come."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.cleaning import deleting
from launcher.plan import PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.snapshot import store, take
from locat.contract.checkpoint_folder import best_in, complete
from support import kept_runs, small_runs
from support.kept_runs import make, save, steps

Written = Callable[[Path], dict[str, object]]


def init(source: Callable[[Path], str], **more: str) -> Written:
    return lambda job: {"model": {"name": "a", "init": {"source": source(job), **more}}}


def by_run(job: Path) -> str:
    return f"run:{job.parents[1]}/{job.name}"


def in_container(job: Path) -> str:
    return f"/in/a/container/{job.parents[1].name}/jobs/{job.name}"


REFERENCES: dict[str, tuple[Written, str]] = {
    "the best": (init(lambda job: f"{by_run(job)}@best"), "best"),
    "a step": (init(lambda job: f"{by_run(job)}@3"), "3"),
    "the student": (init(by_run, weights="student"), "last"),
    "the student of outputs": (init(lambda job: str(job / "outputs"), weights="student"), "last"),
    "a branch": (lambda job: {"branch": {"job": in_container(job), "at": "3"}}, "3"),
    "the newest": (lambda job: {"branch": {"job": str(job), "at": ""}}, "last"),
    "a branch of another version": (lambda job: {"branch": {"job": str(job), "at": "first"}}, "all"),
    "a folder": (lambda job: {"words": ["--from", str(job / "checkpoints/step-0000003")]}, "3"),
    "a file in it": (lambda job: {"words": f"--from={job}/checkpoints/step-0000003/task.pt"}, "3"),
    "the job": (lambda job: {"words": str(job)}, "all"),
    "the model": (init(lambda job: str(job / "outputs")), "nothing"),
    "a frozen backbone": (lambda job: {"backbone": str(job / "outputs")}, "nothing"),
    "the model by its run": (init(by_run), "nothing"),
}
SAVED = {3: 1.0, 5: 9.0, 7: 8.0}
NEEDED = {"best": [5], "3": [3], "last": [7], "all": [3, 5, 7], "nothing": []}


@pytest.mark.parametrize("reference", REFERENCES)
def test_what_a_job_that_is_not_done_reads_stays_until_it_is(reference: str, tmp_path: Path) -> None:
    written, needed = REFERENCES[reference]
    old = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(old.job("train").checkpoints, SAVED)
    new = make(tmp_path, "new", kept_runs.job("tune", **written(old.job("train").path)))
    answer = small_runs.cli(new, "clean", "old", "--keep", "none")
    assert steps(old, "train") == NEEDED[needed], answer.output
    assert answer.stderr.count("new/tune needs it") == len(NEEDED[needed])
    kept_runs.end(new, "tune", Status.FAILED)
    small_runs.cli(new, "clean", "--keep", "none")
    assert steps(old, "train") == NEEDED[needed], "it can be retried"
    kept_runs.end(new, "tune")
    small_runs.cli(new, "clean", "--keep", "none")
    assert steps(old, "train") == []


def needed_by(job: PlannedJob, runs: dict[str, RunFolder]) -> set[Path]:
    """Checkpoints that a job with the keys `at` and `of` reads: as the job itself would find them."""
    at, (run, name) = job.config["at"], job.config["of"]
    folder = runs[run].job(name).checkpoints
    there = complete(folder)
    if at == "best":
        best = best_in(folder, kept_runs.JUDGED)
        return {best} if best else set()
    return {path for path in there if at == "all" or path == (there[-1] if at == "last" else folder / "step-0000003")}


@pytest.mark.parametrize("seed", range(6))
def test_clean_never_removes_what_a_job_needs(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    kinds = [(name, *REFERENCES[name]) for name in REFERENCES if REFERENCES[name][1] != "nothing"]
    runs: dict[str, RunFolder] = {}
    jobs: list[tuple[RunFolder, PlannedJob]] = []
    for number in range(5):
        name, made = f"run{number}", list[PlannedJob]()
        for each in "abc"[: draw.randint(1, 3)]:
            more: dict[str, object] = {}
            if jobs and draw.random() < 0.7:
                run, other = draw.choice(jobs)
                _, written, at = draw.choice(kinds)
                more = {**written(run.job(other.name).path), "at": at, "of": [run.name, other.name]}
            made.append(kept_runs.job(each, after=draw.choice([None, "best", "last", "none"]), **more))
        runs[name] = make(tmp_path, name, *made)
        jobs += [(runs[name], job) for job in made]
        for job in made:
            kept_runs.end(runs[name], job.name, draw.choice([Status.DONE, Status.DONE, Status.FAILED, Status.QUEUED]))
            saved = draw.sample([3, 5, 7, 9], draw.randint(0, 4))
            save(runs[name].job(job.name).checkpoints, {step: draw.choice([1.0, 2.0, float("nan")]) for step in saved})
    waiting = [(run, job) for run, job in jobs if run.state(job.name).status is not Status.DONE]
    needed = {path for _, job in waiting if "of" in job.config for path in needed_by(job, runs)}
    own = {path for run, job in waiting for path in complete(run.job(job.name).checkpoints)}
    for _ in range(3):
        keep = draw.choice([[], ["--keep", draw.choice(["best", "last", "none"])]])
        assert small_runs.cli(runs["run0"], "clean", *keep).exit_code == 0
        assert all((path / file).exists() for path in needed | own for file in kept_runs.FILES)
        assert needed == {path for _, job in waiting if "of" in job.config for path in needed_by(job, runs)}


def test_a_run_that_is_submitted_meanwhile_finds_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = make(tmp_path, "old", kept_runs.job("train"), kept_runs.job("other"), done=("train", "other"))
    for name in ("train", "other"):
        save(old.job(name).checkpoints, SAVED)
    copy = kept_runs.take_code(tmp_path)
    kept_runs.age(copy, 2)
    hide = deleting.hide

    def submitted(path: Path) -> Path:
        hidden = hide(path)
        if not (tmp_path / "new").exists():
            written, _ = REFERENCES["a step"]
            run = make(tmp_path, "new", kept_runs.job("tune", **written(old.job("train").path)))
            (run.path / "python-path").write_text(str(copy))
        return hidden

    monkeypatch.setattr(deleting, "hide", submitted)
    answer = small_runs.cli(old, "clean", "--keep", "none")
    assert answer.exit_code == 0, answer.output
    assert 3 in steps(old, "train") and steps(old, "other") == []
    assert store.is_whole(copy)
    assert "new/tune needs it" in answer.stderr and "a run is being submitted with it" in answer.stderr


PIPELINE = """\
name: tune
jobs:
  tune:
    task: supervised
    config:
      model: {name: locatvit_tiny, init: "run:old/train@3"}
      data: {train: /d/t.beton, val: /d/v.beton}
      epochs: 3
      batch_size: 8
"""


def test_a_run_that_was_too_late_is_not_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it names was deleted between its compilation and its folder."""
    runs = tmp_path / "runs"
    old = make(runs, "old", kept_runs.job("train"), done=("train",))
    save(old.job("train").checkpoints, SAVED)
    (tmp_path / "tune.yaml").write_text(PIPELINE)
    copied = take.take

    def meanwhile(*words: Any) -> take.Code:
        assert small_runs.cli(old, "clean").exit_code == 0
        return copied(*words)

    monkeypatch.setattr("launcher.backends.local.backend.LocalBackend.start", lambda *_: "")
    monkeypatch.setattr(take, "take", meanwhile)
    refused = small_runs.cli(old, "submit", str(tmp_path / "tune.yaml"))
    assert refused.exit_code == 2, refused.output
    assert refused.stderr == "job tune: model.init: train of run old has no checkpoint @3; there are those of steps 5\n"
    assert sorted(path.name for path in runs.iterdir() if path.suffix != ".lock") == [".code", "old"]


def test_code_that_is_taken_again_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the copy and the run that names it there is none that does."""
    run = make(tmp_path, "old", kept_runs.job("train"))
    copy = kept_runs.take_code(tmp_path)
    kept_runs.age(copy, 2)
    hide = deleting.hide

    def taken(path: Path) -> Path:
        assert kept_runs.take_code(tmp_path) == copy
        return hide(path)

    monkeypatch.setattr(deleting, "hide", taken)
    assert small_runs.cli(run, "clean").exit_code == 0
    assert store.is_whole(copy)
    monkeypatch.undo()
    assert small_runs.cli(run, "clean").exit_code == 0 and store.is_whole(copy)
    kept_runs.age(copy, 2)
    assert small_runs.cli(run, "clean").exit_code == 0 and not copy.exists()
