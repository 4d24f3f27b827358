import json
from pathlib import Path

import pytest
import torch
from torch import nn

from locat.config import TrainingConfig
from locat.engine.checkpoint import Checkpoints, Position
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.strategies import Strategy as RunningStrategy
from locat.engine.strategies import make_strategy
from locat.errors import ConfigError

CONFIG = {"strategy": {"name": "ddp"}, "seed": 0}


@pytest.fixture
def ranks():
    with join_ranks() as ranks:
        yield ranks


def fresh(ranks: Ranks) -> RunningStrategy:
    torch.manual_seed(0)
    data = {"train": "none", "val": "none"}
    config = TrainingConfig(task="test", strategy="ddp", data=data, batch_size=4, precision="fp32")
    return make_strategy(config, ranks, nn.Linear(3, 2))


def step(strategy: RunningStrategy) -> None:
    strategy.set_rates(0.1)
    strategy.accumulate(lambda images: strategy.module(images).square().mean(), [torch.ones(4, 3)])
    strategy.update()


def checkpoints(folder: Path, ranks: Ranks, keep: int = 2) -> Checkpoints:
    return Checkpoints(folder, keep, ranks, CONFIG)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(folder: Path, ranks: Ranks, steps: int) -> RunningStrategy:
    strategy = fresh(ranks)
    for number in range(1, steps + 1):
        step(strategy)
        checkpoints(folder, ranks).save(strategy, Position(number, 0, number), {"centre": torch.full((2,), number)})
    return strategy


def test_what_is_restored_goes_on_as_if_nothing_had_happened(tmp_path: Path, ranks: Ranks) -> None:
    original = saved(tmp_path, ranks, 3)
    restored = fresh(ranks)
    position, task_state = checkpoints(tmp_path, ranks).restore(restored)
    assert position == Position(3, 0, 3)
    assert task_state["centre"].tolist() == [3, 3]
    for strategy in (original, restored):
        step(strategy)
    for name, weight in original.full_weights().items():
        assert torch.equal(weight, restored.full_weights()[name])


def test_only_the_newest_are_kept(tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 4)
    assert names(tmp_path) == ["step-0000003", "step-0000004"]


def test_nothing_to_restore_is_the_beginning(tmp_path: Path, ranks: Ranks) -> None:
    assert checkpoints(tmp_path, ranks).restore(fresh(ranks)) == (Position(), {})


def flip_a_bit(checkpoint: Path) -> None:
    victim = next((checkpoint / "strategy").glob("*.distcp"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)


def truncate(checkpoint: Path) -> None:
    victim = next((checkpoint / "strategy").glob("*.distcp"))
    victim.write_bytes(victim.read_bytes()[:-1])


def remove_a_file(checkpoint: Path) -> None:
    (checkpoint / "random-0.pt").unlink()


def spoil_the_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_text("{")


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, remove_a_file, spoil_the_manifest])
def test_a_damaged_one_is_set_aside_and_the_one_before_is_used(damage, tmp_path, ranks, caplog) -> None:
    saved(tmp_path, ranks, 2)
    damage(tmp_path / "step-0000002")
    assert checkpoints(tmp_path, ranks).restore(fresh(ranks))[0].step == 1
    assert names(tmp_path) == ["damaged-step-0000002", "step-0000001"]
    assert "step-0000002" in caplog.text


def test_one_that_was_being_written_is_not_there(tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 1)
    (tmp_path / ".step-0000002.partial" / "strategy").mkdir(parents=True)
    assert checkpoints(tmp_path, ranks).restore(fresh(ranks))[0].step == 1


def test_another_config_is_refused(tmp_path: Path, ranks: Ranks) -> None:
    strategy = saved(tmp_path, ranks, 1)
    other = Checkpoints(tmp_path, 2, ranks, {**CONFIG, "seed": 1})
    with pytest.raises(ConfigError, match="another config \\(seed\\)"):
        other.restore(strategy)


def test_deepspeed_with_another_number_of_ranks_is_refused(tmp_path: Path, ranks: Ranks) -> None:
    strategy = saved(tmp_path, ranks, 1)
    config = {**CONFIG, "strategy": {"name": "deepspeed"}}
    manifest_file = tmp_path / "step-0000001" / "manifest.json"
    manifest = json.loads(manifest_file.read_text())
    manifest_file.write_text(json.dumps({**manifest, "config": config, "world_size": 3}))
    with pytest.raises(ConfigError, match="3 ranks"):
        Checkpoints(tmp_path, 2, ranks, config).restore(strategy)
