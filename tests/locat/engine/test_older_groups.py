"""Checkpoints of versions that knew no layers' rates and froze by name: in two groups, which only said what decays."""

from pathlib import Path
from typing import Any

import pytest
import torch

from locat.data.position import Position
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.distributed import Ranks
from locat.engine.strategies import Strategy, make_strategy
from support.strategy_worker import batch_of, new_config, new_model

FROZEN = {"head.weight": 3}


def trained(strategy: Strategy, steps: range) -> None:
    for step in steps:
        strategy.begin(step, 1e-3)
        strategy.accumulate(
            lambda piece: torch.nn.functional.cross_entropy(strategy.module(piece[0]), piece[1]), [batch_of(step)]
        )
        strategy.update()


@pytest.mark.parametrize(
    ("strategy", "frozen"),
    [
        ("ddp", FROZEN),
        ("fsdp", FROZEN),
        pytest.param({"name": "deepspeed", "zero_stage": 2}, {}, marks=pytest.mark.slow),
    ],
    ids=["ddp", "fsdp", "zero2"],
)
def test_they_are_gone_on_from_to_the_bit(strategy: Any, frozen: dict[str, int], ranks: Ranks, tmp_path: Path) -> None:
    """`frozen` has a group of its own by now, in updates that train it already."""
    config = new_config({"strategy": strategy})

    def made(seed: int, frozen: dict[str, int]) -> Strategy:
        return make_strategy(config, ranks, new_model(seed), None, lambda name: frozen.get(name, 0))

    with Checkpoints(tmp_path, config.checkpoints, ranks, {}) as checkpoints:
        older = made(0, {})
        trained(older, range(3, 5))
        taken = [
            {key: group.pop(key) for key in ("lr_scale", "frozen_until")} for group in older.optimizer.param_groups
        ]
        checkpoints.save(older, Position(5), {})
        assert checkpoints.wait()
        for group, back in zip(older.optimizer.param_groups, taken, strict=True):
            group.update(back)
        assert checkpoints.newest is not None
        trained(older, range(5, 7))
        expected = older.full_weights()
        for world_size in (1, 2):  # ZeRO takes the files of another number of ranks in another way
            now = made(world_size, frozen)
            now.load(checkpoints.newest / "strategy", world_size)
            assert len(now.optimizer.param_groups) == 2 + len(frozen)
            trained(now, range(5, 7))
            found = now.full_weights()
            assert all(torch.equal(found[name], weight) for name, weight in expected.items())
