import pytest
import torch

from locat.config import TrainingConfig
from locat.contract.errors import ConfigError
from locat.engine.distributed import Ranks
from locat.engine.strategies import micro_batch_size

FOUR = Ranks(0, 4, torch.device("cpu"))


def config(size: int | None) -> TrainingConfig:
    data = {"train": "none", "val": "none"}
    return TrainingConfig(task="test", data=data, batch_size=24, micro_batch_size=size)


def test_by_default_a_rank_takes_its_whole_share_at_once() -> None:
    assert micro_batch_size(config(None), FOUR) == 6
    assert micro_batch_size(config(3), FOUR) == 3


@pytest.mark.parametrize("size", [4, 12])
def test_what_does_not_divide_the_share_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"micro_batch_size {size} does not divide the 6 images.*divisor of 6"):
        micro_batch_size(config(size), FOUR)
