"""A checkpoint of DeepSpeed that somebody else wrote is read as data, or refused."""

import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from locat.config import TrainingConfig
from locat.contract.errors import JobError
from locat.engine.distributed import Ranks
from locat.engine.strategies import make_strategy
from support.hostile import Evil

pytestmark = pytest.mark.slow  # importing DeepSpeed is


def test_a_file_that_would_run_something_is_refused(ranks: Ranks, tmp_path: Path) -> None:
    data = {"train": "none", "val": "none"}
    marker = tmp_path / "owned"
    for stage in (2, 3):
        strategy = {"name": "deepspeed", "zero_stage": stage}
        config = TrainingConfig(task="test", data=data, batch_size=2, precision="fp32", strategy=strategy)
        trained = make_strategy(config, ranks, nn.Linear(2, 2))
        folder = tmp_path / str(stage)
        trained.snapshot()(folder, None)
        trained.load(folder, 1)
        trained.load(folder, 2)  # as if two ranks had saved it: its pieces are joined
        for file in (folder / "zero").iterdir():
            whole = file.read_bytes()
            torch.save({**torch.load(file, weights_only=False), "extra": Evil(marker)}, file)
            for world_size in (1, 2):
                with pytest.raises(JobError, match=r"not a checkpoint of ours \(.*posix.* blocked\)") as refused:
                    trained.load(folder, world_size)
                assert "\n" not in str(refused.value) and str(file) in str(refused.value)
            file.write_bytes(pickle.dumps(Evil(marker)))
            with pytest.raises(JobError, match="not a checkpoint of ours"):
                trained.load(folder, 1)
            file.write_bytes(whole)
    assert not marker.exists()


class Stage(Enum):
    """Pickled as older Pythons do."""

    THREE = 3

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (type(self), self.name)


def test_members_of_enumerations_are_read_as_older_pythons_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from locat.engine.strategies import zero_reading

    torch.save({"zero_stage": Stage.THREE}, tmp_path / "states.pt")
    with pytest.raises(JobError):
        zero_reading.read_states(tmp_path / "states.pt")
    monkeypatch.setattr(zero_reading, "PARTS", [*zero_reading.PARTS, Stage])
    assert zero_reading.read_states(tmp_path / "states.pt") == {"zero_stage": Stage.THREE}
