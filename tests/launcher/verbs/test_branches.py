"""`submit --from`: a job of a new run goes on from another run's checkpoint, or one line says why it cannot."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from launcher.cli import cli
from launcher.runs.find import find
from launcher.runs.folder import RunFolder
from locat.config import TrainingConfig, load_job
from locat.contract.checkpoint_folder import PINNED
from locat.contract.submission import Submission
from locat.engine.tracking.notes import pipeline_note

PIPELINE = """\
name: tune
defaults:
  seed: SEED
  image: lab/image
jobs:
  JOB:
    task: TASK
    config:
      model: {name: locatvit_tiny}
      data: {train: /d/t.beton, val: /d/v.beton}
      epochs: EPOCHS
      batch_size: BATCH
      optimizer: {lr: LR}
      checkpoints: {best: BEST}
"""
VALUES = {"SEED": "0", "JOB": "train", "TASK": "supervised", "EPOCHS": "3", "BATCH": "8", "LR": "1e-3", "BEST": "top1"}
Submit = Callable[..., Result]


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.backends.local.backend.LocalBackend.start", lambda *_: "")


def written(text: str, **values: str) -> str:
    for key, value in {**VALUES, **values}.items():
        text = text.replace(key, value)
    return text


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    def submitted(*arguments: str, text: str = PIPELINE, **values: str) -> Result:
        (tmp_path / "a.yaml").write_text(written(text, **values))
        command = ["submit", str(tmp_path / "a.yaml"), "--runs-dir", str(tmp_path / "runs"), *arguments]
        return CliRunner().invoke(cli, command)

    return submitted


@pytest.fixture
def parent(submit: Submit, tmp_path: Path) -> RunFolder:
    """A run with checkpoints of two steps, of which the first is the best, and its job in the second epoch."""
    assert submit("--name", "old").exit_code == 0
    run = find(tmp_path / "runs", None)
    for step, top1 in ((5, 9.0), (7, 8.0)):
        folder = run.job("train").checkpoints / f"step-{step:07d}"
        (folder / "strategy").mkdir(parents=True)
        for name in ("task.pt", "strategy/0.distcp"):
            (folder / name).write_text(f"{name} of {step}")
        position = {"step": step, "epoch": 1, "batch": step - 4}
        files = dict.fromkeys(("task.pt", "strategy/0.distcp"), "digest")
        values = {"format": 1, "position": position, "metrics": {"top1": top1}, "world_size": 1, "files": files}
        (folder / "manifest.json").write_text(json.dumps({**values, "config": {}}))
    return run


@pytest.mark.parametrize(("at", "step"), [("", 7), ("@best", 5), ("@5", 5)])
def test_the_checkpoint_is_the_new_jobs_from_the_moment_of_submission(
    at: str, step: int, submit: Submit, parent: RunFolder, tmp_path: Path
) -> None:
    answer = submit("--from", f"{parent.name[:-2]}/train{at}", "--name", "new", LR="1e-4", JOB="other")
    assert answer.exit_code == 0, answer.output
    run = next(each for each in map(RunFolder, (tmp_path / "runs").glob("new-*")))
    name = f"{parent.name}/train@{step}"
    assert f"other goes on from {name}" in answer.output
    config = run.plan().job("other").config
    assert config["branch"] == {"job": str(parent.job("train").path), "at": str(step)}
    assert config["tracking"]["tags"]["branched_from"] == name
    read = load_job(run.job("other").config)
    assert isinstance(read, TrainingConfig) and read.branch is not None and str(read.branch) == name
    pinned = run.job("other").path / PINNED / f"step-{step:07d}"
    original = parent.job("train").checkpoints / pinned.name
    assert (pinned / "strategy/0.distcp").stat().st_ino == (original / "strategy/0.distcp").stat().st_ino
    assert (pinned / "manifest.json").read_text() == (original / "manifest.json").read_text()
    status = CliRunner().invoke(cli, ["status", run.name, "--runs-dir", str(tmp_path / "runs")])
    assert f"other goes on from {name}" in status.output
    asked = Submission.read(run.path)
    assert asked is not None and asked.branch == name
    assert f"launcher submit {run.path}/pipeline.yaml --from {name}" in pipeline_note(run.path, "1")


def test_where_no_hard_link_can_be_it_is_copied(
    submit: Submit, parent: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    assert submit("--from", f"{parent.name}/train", "--name", "new").exit_code == 0
    (pinned,) = (tmp_path / "runs").glob("new-*/jobs/train/branch/step-0000007/task.pt")
    assert pinned.read_text() == "task.pt of 7"


TWO = PIPELINE + "\n".join(written(PIPELINE, JOB="more").splitlines()[5:]) + "\n"


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"TASK": "dino", "BEST": "entropy"}, "", "{file}:7:5: jobs.train.task: 'dino' has no use for a checkpoint of"),
        ({"SEED": "1"}, "", "{file}:3:3: defaults.seed: 1, where the checkpoint has 0: the order"),
        ({"locatvit_tiny": "other"}, "", "{file}:9:15: jobs.train.config.model.name: 'other', where the checkpoint"),
        ({"EPOCHS": "1"}, "", "{file}:11:7: jobs.train.config.epochs: 1, of which the checkpoint of step 7 has done 1"),
        ({"BATCH": "16"}, "", "{file}:12:7: jobs.train.config.batch_size: 16 does not divide the 24 images"),
        ({"LR": "1e-3, name: lion"}, "", "{file}:13:29: jobs.train.config.optimizer.name: 'lion', where"),
        ({"text": TWO, "JOB": "less"}, "", "jobs: which job goes on from train of {run}? None that trains has its"),
        ({}, "@6", "has no checkpoint of step 6; there are 5, 7"),
        ({}, "@last", "write RUN/JOB, RUN/JOB@best or RUN/JOB@STEP"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    changes: dict[str, str], at: str, words: str, submit: Submit, parent: RunFolder, tmp_path: Path
) -> None:
    before = sorted((tmp_path / "runs").iterdir())
    answer = submit("--from", f"{parent.name}/train{at}", **changes)
    assert answer.exit_code == 2
    assert words.format(file=tmp_path / "a.yaml", run=parent.name) in answer.output
    assert len(answer.output.strip().splitlines()) == 1, answer.output
    assert sorted((tmp_path / "runs").iterdir()) == before


def test_the_job_of_the_same_name_goes_on_where_several_train(submit: Submit, parent: RunFolder) -> None:
    answer = submit("--from", f"{parent.name}/train@best", "--dry-run", text=TWO)
    assert answer.exit_code == 0 and f"train goes on from {parent.name}/train@5" in answer.output


def test_pods_go_on_from_what_lies_on_the_same_claim(submit: Submit, parent: RunFolder) -> None:
    on_pods = ("--backend", "kubernetes", "--dry-run", "--from", f"{parent.name}/train@best")
    assert "would not see the checkpoints of train" in submit(*on_pods).output
    plan = json.loads((parent.path / "plan.json").read_text())
    (parent.path / "plan.json").write_text(json.dumps({**plan, "backend": "kubernetes"}))
    answer = submit(*on_pods)
    assert answer.exit_code == 0 and f"train goes on from {parent.name}/train@best" in answer.output
    storage = "/runs: {claim: other}"
    moved = submit(*on_pods, text=PIPELINE.replace("    task:", f"    storage: {{{storage}}}\n    task:"))
    assert moved.exit_code == 2 and "the same storage at /runs" in moved.output
    here = submit("--from", f"{parent.name}/train")
    assert here.exit_code == 2 and "submit with --backend kubernetes" in here.output
