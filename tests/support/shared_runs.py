"""A run whose jobs have left the models of `trained_models`, as if they had trained; three seeds of one of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.plan import Plan, PlannedJob
from launcher.runs.create import create
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract.source import Machine, Origin, Source
from locat.contract.submission import Step, Submission
from support import small_runs

TOP1 = {"classify-0": 70.0, "classify-1": 71.0, "classify-2": 73.5}
DIGEST = "ab" * 32
PRETRAINING = {"epochs": 3, "model": {"name": "locatvit_tiny", "args": {"depth": 2}}}


def make(
    runs: Path, models: Path, description: str = "a test", settings: tuple[str, ...] = (), **config: Any
) -> RunFolder:
    """Jobs `convert`, `classify-SEED`, `features` and `segment`; `config` is put over that of `classify-*`."""
    data = {"data": {"train": str(runs / "test/jobs/convert/outputs/train.beton")}}
    jobs = [
        _job("convert", task="convert"),
        *(
            _job(name, **{"task": "supervised", "seed": n, **PRETRAINING, **data, **config})
            for n, name in enumerate(TOP1)
        ),
        _job("features", task="dino"),
        _job("segment", task="segment"),
    ]
    plan = Plan("test", "tests", description, runs / "test", f"sqlite:///{runs}/mlflow.db", "test", tuple(jobs))
    run = create(plan, "name: test\n", runs)
    origin = Origin("/home/alice/code", ("launcher", "locat"), commit="c" * 40, branch="secret-branch", patch="a.patch")
    packages = {"torch": "2.11", "timm": "1.0.31", "other": "1"}
    Source(DIGEST, "", 2, 10, 1.5, "submit", (origin,), "3.12", installed=packages).write(run.path)
    Submission("tests", description, (Step("convert", "convert"),), "/home/alice", settings=settings).write(run.path)
    kinds = {**dict.fromkeys(TOP1, "classifier"), "features": "backbone", "segment": "segmenter"}
    for name, kind in kinds.items():
        shutil.copytree(models / kind, run.job(name).outputs)
        attempt = run.job(name).attempt(1)
        attempt.mkdir(parents=True)
        Machine("alices-laptop", code=DIGEST).write(attempt)
        JobState(Status.DONE, 1, exit_code=0, started=1.0).write(run.job(name).state)
    for name, top1 in TOP1.items():
        leave(run, name, {"top1": top1, "loss": 1.23456})
    leave(run, "segment", {"miou": 28.5}, protocol="exact")
    return run


def leave(run: RunFolder, job: str, metrics: dict[str, float], **more: str) -> None:
    """Write a job's metrics.json."""
    told = {"model": "locatvit_tiny", "dataset": "cats & dogs", "contents": "12345678" * 8, "metrics": metrics, **more}
    run.job(job).results.write_text(json.dumps(told))


def _job(name: str, **config: Any) -> PlannedJob:
    return replace(small_runs.job(name), config=config)
