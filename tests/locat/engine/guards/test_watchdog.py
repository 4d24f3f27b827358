import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from locat.contract.job_folder import ATTEMPT_VARIABLE
from locat.engine.distributed import Ranks
from locat.engine.guards.throughput import slowest
from locat.engine.guards.watchdog import Watchdog, Whereabouts, describe

TESTS = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({0: Whereabouts(7, 2), 1: Whereabouts(7, 1), 2: Whereabouts(7, 2)}, "rank 1 computes"),
        ({0: Whereabouts(7, 0), 1: Whereabouts(7, 1), 2: Whereabouts(7, 0)}, "ranks 0, 2 waits for its data"),
        ({0: Whereabouts(8, 0), 1: Whereabouts(7, 2), 2: Whereabouts(8, 0)}, "rank 1 waits for the other ranks"),
        ({0: Whereabouts(7, 2), 2: Whereabouts(7, 2)}, "rank 1 cannot say where"),
    ],
)
def test_the_rank_that_is_furthest_behind_is_named(told: dict[int, Whereabouts], words: str) -> None:
    assert describe(told, [0, 1, 2]).startswith(words)


def test_steps_in_time_and_what_is_no_step_are_left_alone() -> None:
    with Watchdog(0.2, Ranks(0, 1, torch.device("cpu"))) as watched:
        for step in range(3):
            watched.enter(step, "waits for its data")
            watched.enter(step, "computes")
        watched.rest()
        watched._ended.wait(0.5)


def test_the_slowest_rank_is_named_with_how_much_slower_it_is() -> None:
    assert slowest([1.0, 3.0, 1.0]) == {"ranks/slowest": 1, "ranks/slowest_to_median": 3.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sleep", "step 1 took more than 2 s: rank 1 computes"),
        ("lock", "step 1 took more than 2 s: rank 1 cannot say where"),
    ],
)
def test_a_rank_that_hangs_is_named_and_every_rank_leaves_its_stacks(how: str, reason: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", ATTEMPT_VARIABLE: str(tmp_path)}
    ended = subprocess.Popen([*command, "-m", "support.hang_worker", "2", how], env=environment, cwd=TESTS.parent)
    assert ended.wait(90) == 1
    assert json.loads((tmp_path / "outcome.json").read_text())["reason"].startswith(reason)
    assert "in barrier" in (tmp_path / "rank-0.log").read_text()
    assert "in hang" in (tmp_path / "rank-1.log").read_text()
