"""What DeepSpeed would do otherwise than the other strategies is refused."""

import pytest
from torch import nn

from locat.config import TrainingConfig
from locat.contract.errors import ConfigError

pytestmark = pytest.mark.slow  # importing DeepSpeed is


def config(stage: int, **changes) -> TrainingConfig:
    required = {"task": "test", "data": {"train": "none", "val": "none"}, "batch_size": 4}
    return TrainingConfig(**required, strategy={"name": "deepspeed", "zero_stage": stage}, **changes)


@pytest.mark.parametrize(
    ("stage", "changes", "shadow", "words"),
    [
        (1, {"optimizer": {"clip": "tensor"}}, None, "optimizer.clip: deepspeed clips by the norm of all"),
        (2, {"precision": "fp16"}, None, "precision: fp16 is for strategies ddp and fsdp"),
        (3, {"compile": True}, None, "compile: zero_stage 3"),
        (3, {}, nn.Linear(1, 1), "zero_stage: 3 cannot shard an average"),
    ],
)
def test_it_is_refused_in_one_line(stage, changes, shadow, words) -> None:
    from locat.engine.strategies.zero import refuse_unsound

    with pytest.raises(ConfigError, match=words) as refused:
        refuse_unsound(config(stage, **changes), shadow)
    assert "\n" not in str(refused.value)


def test_what_is_sound_passes() -> None:
    from locat.engine.strategies.zero import refuse_unsound

    refuse_unsound(config(3), None)
    refuse_unsound(config(2, compile=True, optimizer={"clip": "tensor", "clip_grad": 0.0}), nn.Linear(1, 1))
