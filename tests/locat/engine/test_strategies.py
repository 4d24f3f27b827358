"""Real processes: two ranks under torchrun, every strategy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STRATEGIES = [("ddp", 1), ("fsdp", 1), ("deepspeed", 1), ("deepspeed", 2), ("deepspeed", 3)]

TOLERANCE = 1e-5
"""Relative; the strategies add up the same gradients in another order."""

pytestmark = pytest.mark.slow


def train(strategy: str, stage: int, folder: Path, steps: int, ranks: int = 2) -> dict[str, list[list[float]]]:
    folder.mkdir(parents=True, exist_ok=True)
    worker = Path(__file__).with_name("strategy_worker.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    subprocess.run(
        [*command, str(worker), strategy, str(stage), str(folder), str(steps)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    result: dict[str, list[list[float]]] = json.loads((folder / "result.json").read_text())
    return result


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[float]]]:
    """Six steps of one rank that sees the whole batch: what every strategy must reproduce."""
    return train("ddp", 1, tmp_path_factory.mktemp("alone"), 6, ranks=1)


@pytest.mark.parametrize(("strategy", "stage"), STRATEGIES)
def test_losses_and_weights_are_those_of_one_rank_also_after_a_restart(
    strategy: str, stage: int, alone: dict[str, list[list[float]]], tmp_path: Path
) -> None:
    first = train(strategy, stage, tmp_path, 3)
    second = train(strategy, stage, tmp_path, 6)
    losses = first["losses"] + second["losses"]
    assert len(losses) == 6
    for found, expected in zip(losses, alone["losses"], strict=True):
        assert found == pytest.approx(expected, rel=TOLERANCE)
    assert second["weights"] == pytest.approx(alone["weights"], rel=TOLERANCE)
