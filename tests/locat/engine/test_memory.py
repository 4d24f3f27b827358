"""Where a GPU's memory ends, the user reads what to set."""

from typing import Any

import pytest
import torch

from locat.config import TrainingConfig
from locat.contract.errors import JobError
from locat.engine.distributed import Ranks
from locat.engine.memory import naming_the_remedy

TOLD = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 1.00 GiB is "
    "free. Of the allocated memory 138 GiB is allocated by PyTorch. See documentation (https://pytorch.org/docs)"
)


def reason(**settings: Any) -> str:
    data = {"train": "none", "val": "none"}
    config = TrainingConfig(task="test", data=data, **{"batch_size": 24, **settings})
    with pytest.raises(JobError) as told, naming_the_remedy(config, Ranks(0, 2, torch.device("cuda", 0))):
        raise torch.OutOfMemoryError(TOLD)
    return str(told.value)


def test_the_largest_piece_that_is_smaller_is_named() -> None:
    assert reason() == (
        "the memory of cuda:0 does not hold 12 images of a forward pass: set micro_batch_size: 6 (the same batch in "
        "pieces) or activation_checkpointing: true; torch: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a "
        "total capacity of 139.80 GiB of which 1.00 GiB is free"
    )


def test_what_is_set_already_is_not_advised() -> None:
    told = reason(micro_batch_size=3, activation_checkpointing=True, strategy="ddp")
    assert "3 images of a forward pass: set micro_batch_size: 1 (" in told
    assert "activation_checkpointing" not in told and "strategy: fsdp" in told


def test_where_nothing_is_left_to_set_there_is_more_hardware() -> None:
    told = reason(micro_batch_size=1, activation_checkpointing=True)
    assert "it needs more GPUs to share the weights, or a smaller model" in told


def test_other_errors_pass() -> None:
    config = TrainingConfig(task="test", data={"train": "none", "val": "none"}, batch_size=24)
    with pytest.raises(RuntimeError, match="mine"), naming_the_remedy(config, Ranks(0, 2, torch.device("cuda", 0))):
        raise RuntimeError("mine")
