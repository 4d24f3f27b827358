"""Weights from a checkpoint of a job that has not ended."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor

from locat.contract.errors import WeightsError
from locat.contract.fence import Fence
from locat.data.augment.normalise import IMAGENET
from locat.data.position import START
from locat.engine.checkpoints.manifest import TASK_STATE, random_file, seal
from locat.weights.checkpoints import keep_statistics, read_job


def job(folder: Path, state: Mapping[str, Tensor]) -> Path:
    """One whose only checkpoint is of step 0, with this state of its task; it has left nothing."""
    written = folder / "checkpoints" / "written"
    dcp.save({"model.w": torch.ones(2)}, checkpoint_id=written / "strategy", no_dist=True)
    for name in (TASK_STATE, random_file(0)):
        torch.save(state, written / name)
    seal(written, written.with_name("step-0000000"), START, 1, Fence.here(), metrics={}, config={})
    (folder / "config.yaml").touch()
    return folder


def test_a_checkpoint_says_how_its_images_are_normalised(tmp_path: Path) -> None:
    found = read_job(job(tmp_path, {"centre": torch.zeros(1), **keep_statistics(*IMAGENET)}), "0", None)
    assert found.tensors["w"].tolist() == [1, 1]
    assert found.statistics == {"mean": list(IMAGENET.mean), "std": list(IMAGENET.std)}


def test_one_of_an_older_version_leaves_it_to_the_jobs_config(tmp_path: Path) -> None:
    folder = job(tmp_path, {})
    assert read_job(folder, "0", None).statistics == {}
    (folder / "outputs").mkdir()
    (folder / "outputs" / "config.json").write_text('{"mean": [0.5, 0.5, 0.5]}')
    assert read_job(folder, "0", None).statistics == {"mean": [0.5, 0.5, 0.5]}
    with pytest.raises(WeightsError, match="holds no teacher: its job follows its weights with no average"):
        read_job(folder, "0", "teacher")
