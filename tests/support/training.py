"""Small real jobs, run as a user would: `python -m locat`, by `locat.ranks` for two ranks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from locat.contract.job_folder import ATTEMPT_VARIABLE, ExitCode, JobFolder
from locat.engine.tracking.metric_log import read_records

TINY_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 10}


def convert(folder: Path) -> dict[str, str]:
    """Digit scenes of 32 x 32 pixels as .beton files: the `data` of a training job."""
    dataset = {"name": "digits", "train_scenes": 96, "val_scenes": 33, "image_size": 32}
    write_config(folder, {"task": "convert", "dataset": dataset})
    run(folder)
    return {split: str(folder / "outputs" / f"{split}.beton") for split in ("train", "val")}


def supervised(data: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    """Config of a pretraining job of 12 steps."""
    return {
        "task": "supervised",
        "model": {"name": "locatvit_tiny", "args": TINY_VIT},
        "data": dict(data),
        "epochs": 3,
        "batch_size": 24,
        "schedule": {"warmup_epochs": 1},
        "augment": {"name": "shift", "pixels": 2},
        "image_size": 32,
        "crop_pct": 1.0,
        "precision": "fp32",
        "log_every": 1,
        **changes,
    }


def save_tiny(folder: Path) -> Path:
    """What a pretraining job leaves, of a LocAtViT with weights of seed 0; returns the folder."""
    import torch

    from locat.config import Model
    from locat.models.create import create_model, save_model

    torch.manual_seed(0)
    save_model(create_model(Model(name="locatvit_tiny", args=TINY_VIT)), folder, **TINY_VIT)
    return folder


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config)))


def command(folder: Path, ranks: int = 1) -> list[str]:
    config = str(folder / "config.yaml")
    if ranks == 1:
        return [sys.executable, "-m", "locat", config]
    return [sys.executable, "-m", "locat.ranks", f"--processes={ranks}", "-m", "locat", config]


def preempt(folder: Path, after: int) -> None:
    """Run the job until so many losses are logged, then ask it to stop, as a scheduler does."""
    process = subprocess.Popen(command(folder), env=environment(folder))
    while not JobFolder(folder).metrics.exists() or len(metrics(folder, "train/loss")) < after:
        time.sleep(0.02)
        assert process.poll() is None, log(folder)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == ExitCode.PREEMPTED


def environment(folder: Path) -> dict[str, str]:
    attempt = folder / "attempt"
    attempt.mkdir(exist_ok=True)
    return {**os.environ, "OMP_NUM_THREADS": "1", ATTEMPT_VARIABLE: str(attempt)}


def run(folder: Path, ranks: int = 1, expect: int = 0) -> None:
    """Run the job in `folder` to its end; what it printed is in `folder`/attempt."""
    ended = subprocess.run(command(folder, ranks), env=environment(folder), timeout=300, check=False)
    assert ended.returncode == expect, log(folder)


def log(folder: Path) -> str:
    """What the main rank printed."""
    return (folder / "attempt" / "rank-0.log").read_text()


def metrics(folder: Path, name: str) -> dict[int, float]:
    """A metric by step."""
    records = (record for record, _ in read_records(JobFolder(folder).metrics, 0))
    return {record.step: record.metrics[name] for record in records if name in record.metrics}
