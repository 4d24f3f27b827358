"""Whole runs, as `launcher submit` starts them, whose processes are killed at random instants."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil
import yaml
from mlflow.tracking import MlflowClient

from chaos.ends import differences, end_of
from launcher.attempt import processes
from launcher.backends import look
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from locat.engine.tracking.metric_log import read_records
from support import training

ROOT = Path(__file__).parents[2]
PATIENCE = 400.0
"""Seconds for a run to end, with all the kills."""
VICTIMS = ("supervisor", "attempt runner", "a process of the job", "everything")


@dataclass(frozen=True)
class Reference:
    """A run that was left alone."""

    end: dict[str, Any]
    seconds: float


def pipeline(ranks: int) -> dict[str, Any]:
    """Scenes are made, then a model is trained on them."""
    scenes = {"name": "digits", "train_scenes": 96, "val_scenes": 33, "image_size": 32}
    outputs = {split: f"${{jobs.convert.outputs.{split}}}" for split in ("train", "val")}
    config = training.supervised(outputs, checkpoints={"every_steps": 2})
    return {
        "name": "chaos",
        "defaults": {"strategy": "fsdp", "retries": 20},
        "jobs": {
            "convert": {"task": "convert", "config": {"dataset": scenes}},
            "train": {
                "task": config.pop("task"),
                "needs": ["convert"],
                "resources": {"processes": ranks},
                "config": config,
            },
        },
    }


def left_alone(folder: Path, ranks: int) -> Reference:
    """Run it to its end."""
    began = time.monotonic()
    _, problems, end = _run(folder, ranks, Random(0), kills=[])
    assert not problems, problems
    return Reference(end, time.monotonic() - began)


def trial(folder: Path, reference: Reference, ranks: int, seed: int) -> tuple[str, list[str]]:
    """Kill processes of a run one to four times, and let it end: what was done, and what is not as it should be."""
    random = Random(seed)
    kills = sorted(random.uniform(0, reference.seconds) for _ in range(random.randint(1, 4)))
    story, problems, end = _run(folder, ranks, random, kills)
    return story, problems or differences(reference.end, end)


def _run(folder: Path, ranks: int, random: Random, kills: list[float]) -> tuple[str, list[str], dict[str, Any]]:
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline(ranks)))
    _launcher(folder, "submit", str(folder / "pipeline.yaml"))
    (run,) = (RunFolder(path.parent) for path in folder.glob("runs/*/plan.json"))
    plan, began = run.plan(), time.monotonic()
    pending, problems = list(kills), list[str]()
    story: list[str] = []
    done: dict[str, int] = {}
    while time.monotonic() < began + PATIENCE:
        view = look(run, plan)
        for job in view.having([Status.DONE]):
            if done.setdefault(job.name, job.state.attempt) != job.state.attempt:
                problems.append(f"{job.name} was done and is run again")
        if view.status == "done" and not run.is_supervised():
            _launcher(folder, "sync", run.name)  # MLflow's store is a file that many may be writing to
            problems += _doubled_or_lost(run)
            return ", ".join(story), problems, end_of(run.job("train"))
        if pending and time.monotonic() > began + pending[0]:
            victim = random.choice(VICTIMS)
            story.append(f"{victim} after {pending.pop(0):.1f} s")
            problems += _kill(run, victim, random)
        elif not run.is_supervised():
            _launcher(folder, "retry", run.name)
        time.sleep(0.1)
    problems = [f"has not ended within {PATIENCE:g} s; it is {look(run, plan)}"]
    _kill(run, "everything", random)
    return ", ".join(story), problems, {}


def _kill(run: RunFolder, victim: str, random: Random) -> list[str]:
    """Kill it; what `status` then says that is not true."""
    groups = {
        "supervisor": list(_commands(run, "launcher.backends.local.supervisor")),
        "attempt runner": list(_commands(run, "launcher.attempt")),
        "a process of the job": [each for job in run.plan().jobs for each in processes.of_job(run.job(job.name))],
    }
    if victim == "everything":
        for group in groups.values():
            processes.send(group, signal.SIGKILL)
        time.sleep(0.5)
        view = look(run, run.plan())
        return [f"{job.name} is said to be {job.status} when nothing of it lives" for job in view.running]
    if groups[victim]:
        processes.send([random.choice(groups[victim])], signal.SIGKILL)
    return []


def _commands(run: RunFolder, module: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if module in command and str(run.path) in command:
            yield process


def _doubled_or_lost(run: RunFolder) -> list[str]:
    """What MLflow has of the training's losses that metrics.jsonl has not, or the reverse."""
    job = run.job("train")
    name = "train/loss"
    records = (record for record, _ in read_records(job.metrics, 0))
    written = [(record.step, record.metrics[name]) for record in records if name in record.metrics]
    client = MlflowClient(json.loads(run.tracking.read_text())["uri"])
    tracked = client.get_metric_history(json.loads(job.tracking.read_text())["run_id"], name)
    drawn = sorted((point.step, point.value) for point in tracked)
    return [] if drawn == written else [f"MLflow has {drawn}, metrics.jsonl has {written}"]


def _launcher(folder: Path, verb: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "launcher", verb, "--runs-dir", str(folder / "runs"), *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
