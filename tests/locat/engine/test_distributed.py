"""What a rank has, and how the ranks of a job part when one of them fails."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from locat.contract.errors import DataError, JobError
from locat.contract.job_folder import ATTEMPT_VARIABLE, ExitCode
from locat.contract.outcome import Outcome, outcome_of
from locat.engine import distributed
from locat.engine.distributed import Ranks, join_ranks


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))
    return tmp_path / "outcome.json"


def test_why_a_rank_fails_is_written_before_the_others_can_notice(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroy = dist.destroy_process_group

    def after_the_outcome() -> None:
        assert Outcome.read(attempt.parent) == Outcome(ExitCode.INVALID, "sample 7 is damaged")
        destroy()

    monkeypatch.setattr(dist, "destroy_process_group", after_the_outcome)
    with pytest.raises(DataError), join_ranks():
        raise DataError("sample 7 is damaged")
    assert not dist.is_initialized()


def test_a_rank_with_a_gpu_that_fails_does_not_wait_for_the_others(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: the group is gloo's, and only told apart by its device."""
    join = dist.init_process_group
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend, **options: join("gloo", **options))
    with pytest.raises(ValueError, match="no picture"), join_ranks():
        raise ValueError("no picture")
    assert dist.is_initialized()
    dist.destroy_process_group()
    assert json.loads(attempt.read_text())["reason"] == "ValueError: no picture"


LEAVE = """
import atexit, sys
import torch.distributed as dist
from locat.__main__ import leave

atexit.register(print, "waits for the other ranks")
if sys.argv[1] == "in the group":
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
leave(3)
"""


@pytest.mark.parametrize(("where", "printed"), [("in the group", ""), ("alone", "waits for the other ranks\n")])
def test_who_is_still_in_the_group_ends_at_once(where: str, printed: str) -> None:
    ended = subprocess.run([sys.executable, "-c", LEAVE, where], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, printed), ended.stderr


def test_what_failed_though_nothing_given_was_wrong_is_tried_again() -> None:
    assert outcome_of(JobError("no batch was decoded for 300 seconds")) == (1, "no batch was decoded for 300 seconds")


def test_memory_is_the_gpus_and_a_cpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=4))
    assert Ranks(0, 1, torch.device("cuda", 0)).gpu_memory() == (3, 4)
    assert Ranks(0, 1, torch.device("cpu")).gpu_memory() == (0, 0)
