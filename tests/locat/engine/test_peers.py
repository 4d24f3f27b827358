"""What another rank sends by torch's collectives of objects is taken as data."""

import io
import os
import pickle
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException, _wrap_exception

from locat.engine.distributed import join_ranks
from locat.engine.peers import PeerUnpickler
from support.hostile import Evil


def test_what_would_run_something_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "owned"
    with join_ranks():
        for send in (dist.all_gather_object, lambda found, value: dist.gather_object(value, found)):
            with pytest.raises(pickle.UnpicklingError, match=r"what another rank sent asks for posix.mkdir"):
                send([None], Evil(marker))
    assert not marker.exists()


def told(value: Any) -> Any:
    return PeerUnpickler(io.BytesIO(pickle.dumps(value))).load()


def test_what_distributed_checkpoints_tell_comes_through() -> None:
    value = {
        "dtypes": [torch.float32, torch.bfloat16],
        "size": torch.Size([3]),
        "layout": torch.strided,
        "folder": PurePosixPath("/a"),
    }
    assert told({**value, "folder": Path("/a")}) == value


def test_errors_of_ranks_come_through() -> None:
    try:
        (Path("nowhere") / "file").read_bytes()
    except OSError as error:
        failed = CheckpointException("read", {1: _wrap_exception(error)})
    found = told(failed)
    assert isinstance(found.failures[1][0], FileNotFoundError) and str(found) == str(failed)


@pytest.mark.parametrize("asked", [(io, "open_code"), (os, "system"), (pickle, "loads"), (dist, "init_process_group")])
def test_functions_are_refused(asked: tuple[Any, str]) -> None:
    with pytest.raises(pickle.UnpicklingError):
        told(getattr(*asked))
