"""Real jobs that go on from another job's checkpoint: unchanged to the bit, changed from where it stood."""

import json
from pathlib import Path
from typing import Any

import pytest

from locat.contract import durable
from locat.contract.checkpoint_folder import PINNED, link
from locat.contract.job_folder import JobFolder
from support import training

pytestmark = pytest.mark.slow

RECIPE: dict[str, Any] = {"strategy": "ddp", "ema_decay": 0.9, "checkpoints": {"every_steps": 4, "keep": 3}}


@pytest.fixture(scope="module")
def parent(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A finished job of 12 steps with the checkpoints of steps 4, 8 and 12."""
    folder = tmp_path_factory.mktemp("run") / "jobs" / "tune"
    training.write_config(folder, training.supervised(data, **RECIPE))
    training.run(folder)
    return JobFolder(folder)


def branch(folder: Path, parent: JobFolder, data: dict[str, str], **changes: Any) -> JobFolder:
    origin = {"job": str(parent.path), "at": "8"}
    training.write_config(folder, training.supervised(data, **{**RECIPE, "branch": origin, **changes}))
    return JobFolder(folder)


def digests(folder: Path) -> dict[str, str]:
    return {str(path): durable.sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_without_a_change_it_ends_as_the_other_job_to_the_bit(
    data: dict[str, str], parent: JobFolder, tmp_path: Path
) -> None:
    before = digests(parent.checkpoints)
    job = branch(tmp_path / "same", parent, data)
    link(parent.checkpoints / "step-0000008", job.path / PINNED / "step-0000008")  # as `submit` does
    training.run(job.path)
    for name in ("model.safetensors", "metrics.json"):
        assert durable.sha256(job.outputs / name) == durable.sha256(parent.outputs / name)
    for name in ("train/loss", "train/lr", "train/grad_norm", "val/top1"):
        expected = {step: value for step, value in training.metrics(parent.path, name).items() if step > 8}
        assert training.metrics(job.path, name) == expected
    record = json.loads((job.outputs / "branch.json").read_text())
    assert (record["checkpoint"], record["step"], record["changed"]) == ("step-0000008", 8, {})
    assert not (job.path / PINNED).exists()
    assert digests(parent.checkpoints) == before


def test_under_a_changed_config_it_begins_with_that_step_and_those_weights(
    data: dict[str, str], parent: JobFolder, tmp_path: Path
) -> None:
    job = branch(tmp_path / "changed", parent, data, epochs=4, optimizer={"lr": 1e-5})
    training.run(job.path, ranks=2)
    was, now = (training.metrics(folder, "train/loss") for folder in (parent.path, job.path))
    assert list(now) == [*range(9, 17)]
    assert now[9] == pytest.approx(was[9], rel=1e-4) and now[10] != was[10]
    assert max(training.metrics(job.path, "train/lr").values()) < 1e-5
    record = json.loads((job.outputs / "branch.json").read_text())
    assert record["changed"] == {"optimizer.lr": [1e-3, 1e-5], "epochs": [3, 4]}
