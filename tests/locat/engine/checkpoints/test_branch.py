"""The checkpoint of another run's job becomes the first one of a job: whole, moved, whatever kills it, or refused."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from locat.config import SupervisedConfig
from locat.config.training import Checkpoints as Settings
from locat.contract.checkpoint_folder import PINNED, complete, link
from locat.contract.errors import ConfigError, UserError, WeightsError
from locat.contract.job_folder import JobFolder
from locat.data.order import OrderKind
from locat.data.position import Position
from locat.engine.checkpoints import branch
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.checkpoints.manifest import TASK_STATE, Manifest
from locat.engine.distributed import Ranks
from support.small_strategy import small

BATCHES = 4
"""Of an epoch of the other job."""
STOP = {"metric": "top1", "patience": 9}


class Killed(BaseException):
    pass


def config(**changes: Any) -> SupervisedConfig:
    data = {"train": "/data/train.beton", "val": "/data/val.beton"}
    values = {"task": "supervised", "model": {"name": "a"}, "data": data, "epochs": 3, "batch_size": 8, **changes}
    return SupervisedConfig.model_validate(values)


def checkpoints(job: JobFolder, ranks: Ranks, of: SupervisedConfig) -> Checkpoints:
    return Checkpoints(job.checkpoints, Settings(keep=9), ranks, of.decisive(), of.as_today)


@pytest.fixture
def parent(tmp_path: Path, ranks: Ranks) -> JobFolder:
    """A job with checkpoints of the steps 3 and 4, the second at the end of the first epoch."""
    job = JobFolder(tmp_path / "run/jobs/tune")
    job.checkpoints.mkdir(parents=True)
    state = {
        "centre": torch.ones(2),
        "early_stop/best": torch.tensor(1.0),
        "early_stop/counts": torch.tensor([4, 4, 0]),
    }
    with checkpoints(job, ranks, config(early_stop={"metric": "top1", "patience": 9})) as kept:
        for position in (Position(3, 0, 3), Position(4, 1, 0)):
            kept.save(small(ranks), position, state, {"top1": 5.0})
    return job


def begun(
    parent: JobFolder, ranks: Ranks, batches: int = BATCHES, at: str = "", pinned: bool = True, **changes: Any
) -> tuple[JobFolder, list[Path]]:
    """A job that goes on from `parent`, and its checkpoints."""
    job = JobFolder(parent.path.with_name("child"))
    of = config(branch={"job": str(parent.path), "at": at}, **changes)
    if pinned and not job.path.exists():
        origin = complete(parent.checkpoints)[-1] if not at else parent.checkpoints / f"step-{int(at):07d}"
        link(origin, job.path / PINNED / origin.name)
    job.path.mkdir(exist_ok=True)
    branch.begin(checkpoints(job, ranks, of), job, of, batches)
    return job, complete(job.checkpoints)


def files(checkpoint: Path) -> dict[str, bytes]:
    return {str(path.relative_to(checkpoint)): path.read_bytes() for path in checkpoint.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("pinned", [True, False])
def test_it_has_the_same_files_under_the_jobs_own_config(parent: JobFolder, ranks: Ranks, pinned: bool) -> None:
    before = files(parent.checkpoints / "step-0000004")
    job, (own,) = begun(parent, ranks, epochs=9, early_stop={"metric": "top1", "patience": 2}, pinned=pinned)
    manifest = Manifest.read(own)
    assert (own.name, manifest.position, manifest.metrics) == ("step-0000004", Position(4, 1, 0), {"top1": 5.0})
    assert manifest.config["epochs"] == 9 and "branch" not in manifest.config
    assert {**files(own), "manifest.json": b""} == {**before, "manifest.json": b""}
    assert not (job.path / PINNED).exists()
    restored = checkpoints(job, ranks, config(epochs=9, early_stop={"metric": "top1", "patience": 2}))
    assert restored.restore(small(ranks)).task_state["early_stop/counts"].tolist() == [4, 4, 0]
    shutil.rmtree(job.checkpoints)  # whatever the job does with its own
    assert files(parent.checkpoints / "step-0000004") == before


@pytest.mark.parametrize("name", ["link", "find_fault", "_record", "seal", "discard"])
def test_killed_anywhere_it_begins_again(
    name: str, parent: JobFolder, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the call, and after it, with nothing cleared away."""
    expected = files(parent.checkpoints / "step-0000004")
    call = getattr(branch, name)
    for before in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(branch, "discard", lambda _: None)

            def killed(*arguments: Any, early: bool = before, **named: Any) -> None:
                if not early:
                    call(*arguments, **named)
                raise Killed

            patch.setattr(branch, name, killed)
            with pytest.raises(Killed):
                begun(parent, ranks, early_stop=STOP)
        job, (own,) = begun(parent, ranks, early_stop=STOP)
        assert {**files(own), "manifest.json": b""} == {**expected, "manifest.json": b""}
        assert not (job.path / PINNED).exists() and [path.name for path in job.checkpoints.iterdir()] == [own.name]
        shutil.rmtree(job.path)


@pytest.mark.parametrize(
    ("at", "size", "batches", "position"),
    [
        ("4", 16, 2, Position(2, 1, 0)),
        ("4", 32, 1, Position(1, 1, 0)),
        ("3", 4, 8, Position(6, 0, 6)),
        ("3", 24, 1, Position(1, 1, 0)),  # the last 8 of 32 images make no batch
    ],
)
def test_another_batch_size_goes_on_after_the_same_images(
    at: str, size: int, batches: int, position: Position, parent: JobFolder, ranks: Ranks
) -> None:
    _, (own,) = begun(parent, ranks, batches, at=at, batch_size=size, early_stop=STOP)
    assert own.name == f"step-{position.step:07d}" and Manifest.read(own).position == position
    assert [*torch.load(own / TASK_STATE, weights_only=True)] == ["centre"]  # early_stop counted other steps
    assert len(torch.load(parent.checkpoints / f"step-{int(at):07d}" / TASK_STATE, weights_only=True)) == 3


def test_a_branch_goes_on_in_the_order_of_its_checkpoint(parent: JobFolder, ranks: Ranks) -> None:
    origin = complete(parent.checkpoints)[-1]
    replace(Manifest.read(origin), position=Position(4, 1, 0, OrderKind.COMPUTED)).write(origin)
    for size, batches, step in ((8, BATCHES, 4), (16, 2, 2)):
        job, (own,) = begun(parent, ranks, batches, batch_size=size)
        assert Manifest.read(own).position == Position(step, 1, 0, OrderKind.COMPUTED)
        shutil.rmtree(job.path)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"optimizer": {"name": "sgd"}}, ConfigError, "optimizer.name: 'sgd', where the checkpoint has 'adamw'"),
        ({"at": "3", "batch_size": 16}, ConfigError, "16 does not divide the 24 images that step 3 is into its epoch"),
        ({"at": "5", "pinned": False}, WeightsError, "has no checkpoint of step 5; there are 3, 4"),
        ({"at": "best", "pinned": False}, WeightsError, "config.yaml cannot be read"),
    ],
)
def test_what_cannot_go_on_is_refused_and_leaves_nothing(
    changes: dict[str, Any], kind: type[UserError], words: str, parent: JobFolder, ranks: Ranks
) -> None:
    with pytest.raises(kind, match=words):
        begun(parent, ranks, **changes)
    job = JobFolder(parent.path.with_name("child"))
    assert not job.outputs.exists() and not [*job.path.glob("checkpoints/*")]


def test_a_damaged_one_is_named_and_never_replaced_by_new_weights(parent: JobFolder, ranks: Ranks) -> None:
    (parent.checkpoints / "step-0000004" / TASK_STATE).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"step-0000004: task.pt has been altered"):
        begun(parent, ranks)
    shutil.rmtree(parent.path)
    shutil.rmtree(parent.path.with_name("child"))
    with pytest.raises(WeightsError, match="has no complete checkpoint"):
        begun(parent, ranks, pinned=False)
