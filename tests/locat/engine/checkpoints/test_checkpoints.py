import json
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from locat.config.training import Checkpoints as Settings
from locat.contract.errors import ConfigError
from locat.data.position import Position
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.checkpoints.manifest import Manifest
from locat.engine.distributed import Ranks
from locat.engine.strategies import Strategy as RunningStrategy
from support.small_strategy import small

CONFIG = {"strategy": {"name": "ddp"}, "seed": 0}


def step(strategy: RunningStrategy) -> None:
    strategy.begin(0, 0.1)
    strategy.accumulate(lambda images: strategy.module(images).square().mean(), [torch.ones(4, 3)])
    strategy.update()


def checkpoints(folder: Path, ranks: Ranks, **settings: object) -> Checkpoints:
    return Checkpoints(folder, Settings(**settings), ranks, CONFIG)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(folder: Path, ranks: Ranks, steps: int, **settings: object) -> RunningStrategy:
    """One checkpoint after each step; its metric `top1` goes up to step 2 and then down."""
    strategy = small(ranks)
    with checkpoints(folder, ranks, **settings) as kept:
        for number in range(1, steps + 1):
            step(strategy)
            centre = {"centre": torch.full((2,), number)}
            kept.save(strategy, Position(number, 0, number), centre, {"top1": -abs(2 - number)})
    return strategy


def test_what_is_restored_goes_on_as_if_nothing_had_happened(tmp_path: Path, ranks: Ranks) -> None:
    original = saved(tmp_path, ranks, 3)
    restored = small(ranks)
    position, task_state, metrics = checkpoints(tmp_path, ranks).restore(restored)
    assert metrics == {"top1": -1}
    assert position == Position(3, 0, 3)
    assert task_state["centre"].tolist() == [3, 3]
    for strategy in (original, restored):
        step(strategy)
    for name, weight in original.full_weights().items():
        assert torch.equal(weight, restored.full_weights()[name])


def test_what_is_saved_is_the_state_of_that_moment_though_training_goes_on(tmp_path, ranks, monkeypatch) -> None:
    """The thread is held until the weights, the optimizer, the task's state and the generator have all moved on."""
    moved = threading.Event()
    write = Checkpoints._write
    monkeypatch.setattr(Checkpoints, "_write", lambda self, saved: (moved.wait(10), write(self, saved))[1])
    strategy, centre = small(ranks), torch.ones(2)
    step(strategy)
    with checkpoints(tmp_path, ranks) as kept:
        torch.manual_seed(5)
        kept.save(strategy, Position(1), {"centre": centre})
        drawn = torch.rand(1)
        centre += 1
        step(strategy)
        moved.set()
    restored = small(ranks)
    _, state, _ = checkpoints(tmp_path, ranks).restore(restored)
    assert state["centre"].tolist() == [1, 1]
    assert torch.rand(1) == drawn
    step(restored)
    for name, weight in strategy.full_weights().items():
        assert torch.equal(weight, restored.full_weights()[name])


def test_only_the_newest_are_kept(tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 4)
    assert names(tmp_path) == ["step-0000003", "step-0000004"]


@pytest.mark.parametrize(("best_is", "best"), [("largest", 2), ("smallest", 1)])
def test_the_best_one_is_kept_as_well(best_is: str, best: int, tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 3, keep=1, best="top1", best_is=best_is)
    assert names(tmp_path) == [f"step-000000{best}", "step-0000003"]
    assert Manifest.read(tmp_path / f"step-000000{best}").metrics == {"top1": 2 - 2 - abs(2 - best)}


def test_what_is_not_complete_does_not_count_as_one_to_keep(tmp_path: Path, ranks: Ranks) -> None:
    (tmp_path / "step-0000009").mkdir()
    saved(tmp_path, ranks, 3)
    assert names(tmp_path) == ["step-0000002", "step-0000003", "step-0000009"]


def test_nothing_to_restore_is_the_beginning(tmp_path: Path, ranks: Ranks) -> None:
    assert checkpoints(tmp_path, ranks).restore(small(ranks)) == (Position(), {}, {})


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


def remove_the_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


DAMAGES = [flip_a_bit, truncate, remove_a_file, spoil_the_manifest, remove_the_manifest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_set_aside_and_the_one_before_is_used(damage, tmp_path, ranks, caplog) -> None:
    saved(tmp_path, ranks, 2)
    damage(tmp_path / "step-0000002")
    assert checkpoints(tmp_path, ranks).restore(small(ranks))[0].step == 1
    assert names(tmp_path) == ["damaged-step-0000002", "step-0000001"]
    assert "step-0000002" in caplog.text


def test_the_same_step_may_be_damaged_again(tmp_path: Path, ranks: Ranks) -> None:
    for _ in range(2):
        saved(tmp_path, ranks, 2)
        flip_a_bit(tmp_path / "step-0000002")
        checkpoints(tmp_path, ranks).restore(small(ranks))
    assert names(tmp_path) == ["damaged-step-0000002", "damaged-step-0000002.2", "step-0000001"]


def test_neither_a_spoilt_manifest_nor_nan_keeps_the_best_from_being_found(tmp_path: Path, ranks: Ranks) -> None:
    with checkpoints(tmp_path, ranks, keep=2, best="top1") as kept:
        for number, score in enumerate([float("nan"), 9.0, 5.0, 7.0, 1.0], 1):
            kept.save(small(ranks), Position(number), {}, {"top1": score})
            kept.wait()
            if number == 3:
                spoil_the_manifest(tmp_path / "step-0000002")
    assert names(tmp_path) == ["step-0000004", "step-0000005"]


@pytest.mark.parametrize("left", [".step-0000002.partial", ".step-0000002.deleted"])
def test_what_a_kill_left_in_the_middle_is_swept_away(left: str, tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 1)
    (tmp_path / left / "strategy").mkdir(parents=True)
    assert checkpoints(tmp_path, ranks).restore(small(ranks))[0].step == 1
    assert names(tmp_path) == ["step-0000001"]


def test_a_kill_before_the_old_ones_were_deleted_leaves_none_too_many(tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 3, keep=3)
    checkpoints(tmp_path, ranks, keep=1).restore(small(ranks))
    assert names(tmp_path) == ["step-0000003"]


def test_another_config_is_refused(tmp_path: Path, ranks: Ranks) -> None:
    strategy = saved(tmp_path, ranks, 1)
    other = Checkpoints(tmp_path, Settings(), ranks, {**CONFIG, "seed": 1})
    with pytest.raises(ConfigError, match="another config \\(seed\\)"):
        other.restore(strategy)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_checkpoint_that_cannot_be_written_costs_a_warning_and_no_more(tmp_path, ranks, caplog) -> None:
    strategy = saved(tmp_path, ranks, 1)
    with checkpoints(tmp_path, ranks) as kept:
        with largest_file(1000):
            kept.save(strategy, Position(2), {"centre": torch.zeros(2)})
            assert not kept.wait()
        assert kept.metrics()["checkpoint/failures"] == 1
        assert "step-0000002 could not be saved" in caplog.text
        assert names(tmp_path) == ["step-0000001"]
        step(strategy)
        kept.save(strategy, Position(3), {"centre": torch.zeros(2)})
    assert names(tmp_path) == ["step-0000001", "step-0000003"]
    assert checkpoints(tmp_path, ranks).restore(small(ranks))[0].step == 3


def test_the_manifest_names_every_file(tmp_path: Path, ranks: Ranks) -> None:
    saved(tmp_path, ranks, 1)
    checkpoint = tmp_path / "step-0000001"
    found = {str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file()}
    assert set(json.loads((checkpoint / "manifest.json").read_text())["files"]) == found - {"manifest.json"}
