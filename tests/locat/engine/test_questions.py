"""Between two reports no step asks the device for a number: to answer, it would have to do all that was asked before.

Here everything is on the CPU, where nothing tells a tensor of the device from one of the host. Who asks one that is
on the host by design is named; tests/locat/data/augment/test_no_waiting.py watches over those that draw.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from locat.config import DinoConfig, SegmentConfig, SupervisedConfig
from locat.contract.job_folder import JobFolder
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.guards.nonfinite import Guard
from locat.engine.loop import Training
from locat.engine.task import Task
from locat.tasks.classification.supervised import Supervised
from locat.tasks.segmentation.segment import Segment
from locat.tasks.self_supervised.dino import Dino
from support import training

pytestmark = pytest.mark.slow

QUESTIONS = {"_local_scalar_dense", "bincount", "equal", "is_nonzero", "item", "masked_select", "nonzero", "unique2"}
"""Operators whose answer, or its size, the host needs."""
STEP = "Training.run"
REPORTS = {"Training._report", "Training._settle", "Training._save"}
"""They may ask."""
ON_THE_HOST = {"Ranks.any", "Supervised._draw_first_batch", "change", "erase"}
"""They ask tensors that were made on the host, or, for a figure, once."""


class Questions(TorchDispatchMode):
    """Writes down who asks, as names of functions, innermost first."""

    def __init__(self) -> None:
        super().__init__()
        self.between_reports: list[list[str]] = []
        self.in_reports = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._opname.lstrip("_") in QUESTIONS or func._opname in QUESTIONS:
            asked_by = [frame.f_code.co_qualname for frame in frames() if "locat" in frame.f_code.co_filename]
            self.in_reports += bool(REPORTS & set(asked_by))
            if STEP in asked_by and not (REPORTS | ON_THE_HOST) & set(asked_by):
                self.between_reports.append(asked_by)
        return func(*args, **kwargs or {})


def frames() -> Iterator[FrameType]:
    """The callers, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


COMMON: dict[str, Any] = {
    "precision": "fp32",
    "log_every": 3,
    "checkpoints": {"every_steps": 4},
    "skip_nonfinite": 1,
    "batch_size": 24,
    "micro_batch_size": 12,
}
CLIPPED = {"lr": 1e-3, "clip_grad": 1.0}
SUPERVISED = {
    **COMMON,
    "epochs": 2,
    "optimizer": CLIPPED,
    "augment": {"name": "imagenet", "mixup": 0.8, "cutmix": 1.0},
    "ema_decay": 0.9,
    "evaluate_epochs": 2,
}
DINO = {
    **COMMON,
    "epochs": 1,
    "optimizer": {**CLIPPED, "clip": "tensor"},
    "schedule": {"warmup_epochs": 1},
    "crops": {"global_size": 32, "local_size": 16, "local_crops": 2},
    "head": {"out_dim": 32, "hidden_dim": 64, "bottleneck_dim": 32},
}
SEGMENT = {**COMMON, "iterations": 7, "optimizer": CLIPPED, "hidden_dim": 16}
BF16 = {"precision": "bf16"}


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with join_ranks() as group:
        yield group


def new_task(name: str, changes: dict[str, Any], data: dict[str, str], job: JobFolder, ranks: Ranks) -> Task:
    if name == "segment":
        training.save_tiny(job.path)
        return Segment(
            SegmentConfig(task=name, data=data, backbone=str(job.path), **{**SEGMENT, **changes}), job, ranks
        )
    vit = {"name": "locatvit_tiny", "args": {**training.TINY_VIT, "drop_path_rate": 0.1}}
    if name == "dino":
        return Dino(DinoConfig(task=name, model=vit, data=data, **{**DINO, **changes}), job, ranks)
    images = {"image_size": 32, "crop_pct": 1.0}
    return Supervised(
        SupervisedConfig(task=name, model=vit, data=data, **images, **{**SUPERVISED, **changes}), job, ranks
    )


def questions(task: Task, job: JobFolder, ranks: Ranks) -> Questions:
    """Who asks while `task` is trained."""
    with ExitStack() as stack, Questions() as asked:
        Training(task, task.config, job, ranks, stack).run()
    return asked


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("supervised", {"strategy": "ddp"}),
        ("supervised", {"strategy": "ddp", "precision": "fp16"}),
        ("supervised", {"strategy": "fsdp", **BF16}),
        ("dino", {"strategy": "ddp", **BF16}),
        ("dino", {"strategy": "fsdp"}),
        ("segment", {"strategy": "ddp", **BF16}),
        ("segment", {"strategy": "fsdp"}),
    ],
)
def test_no_step_between_two_reports_asks_the_device(
    name: str, changes: dict[str, Any], data: dict[str, str], ranks: Ranks, tmp_path: Path
) -> None:
    job = JobFolder(tmp_path)
    asked = questions(new_task(name, changes, data, job, ranks), job, ranks)
    assert asked.between_reports == []
    assert asked.in_reports > 0


def test_a_step_that_asks_is_found(
    data: dict[str, str], ranks: Ranks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Guard.judge

    def curious(guard: Guard, norm: torch.Tensor, loss_is_finite: torch.Tensor) -> torch.Tensor:
        assert norm.item() >= 0
        return judge(guard, norm, loss_is_finite)

    monkeypatch.setattr(Guard, "judge", curious)
    job = JobFolder(tmp_path)
    task = new_task("segment", {"strategy": "fsdp"}, data, job, ranks)
    asked = questions(task, job, ranks)
    assert len(asked.between_reports) == task.total_steps
    assert "Native.update" in asked.between_reports[0]
