"""A checkpoint that somebody else wrote is read as data, or refused."""

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import metadata

from locat.contract.errors import JobError
from locat.engine.checkpoints import dcp_reading
from locat.engine.checkpoints.dcp_reading import MetadataUnpickler
from locat.engine.distributed import join_ranks
from support.hostile import Evil


def state(fill: float) -> dict[str, Any]:
    weights = {"weight": torch.full((3, 2), fill), "half": torch.full((2,), fill, dtype=torch.bfloat16)}
    return {"model": weights, "scaler": {"scale": fill, "growth": int(fill)}, "rates": [fill, fill]}


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    with join_ranks():
        dcp.save(state(2.0), checkpoint_id=tmp_path / "step")
        found = state(0.0)
        dcp_reading.load(found, tmp_path / "step")
    torch.testing.assert_close(found, state(2.0), rtol=0, atol=0)


def test_metadata_that_would_run_something_are_refused(tmp_path: Path) -> None:
    marker = tmp_path / "owned"
    with join_ranks():
        dcp.save(state(2.0), checkpoint_id=tmp_path / "step")
        (tmp_path / "step" / ".metadata").write_bytes(pickle.dumps(Evil(marker)))
        with pytest.raises(JobError, match=r"not a checkpoint of ours \(its metadata asks for posix.mkdir\)"):
            dcp_reading.load(state(0.0), tmp_path / "step")
        assert not marker.exists()
        with pytest.raises(dcp.api.CheckpointException):
            dcp.load(state(0.0), checkpoint_id=tmp_path / "step")
    assert marker.exists()  # it would have


class Gotten:
    """Pickled as what `getattr` gives."""

    def __init__(self, *asked: Any) -> None:
        self.asked = asked

    def __reduce__(self) -> Any:
        return getattr, self.asked


def test_members_of_enumerations_are_read_as_older_pythons_write_them() -> None:
    kind = metadata._MEM_FORMAT_ENCODING
    found = MetadataUnpickler(io.BytesIO(pickle.dumps(Gotten(kind, "TORCH_PRESERVE_FORMAT")))).load()
    assert found is kind.TORCH_PRESERVE_FORMAT
    for asked in ((kind, "__class__"), (kind, "mro"), (torch.Size, "__class__"), ("", "format")):
        with pytest.raises((pickle.UnpicklingError, KeyError)):
            MetadataUnpickler(io.BytesIO(pickle.dumps(Gotten(*asked)))).load()


def test_a_value_that_would_run_something_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "owned"
    with join_ranks():
        dcp.save({**state(2.0), "rates": [2.0, Evil(marker)]}, checkpoint_id=tmp_path / "step")
        with pytest.raises(JobError, match=r"not a checkpoint of ours \(.*posix.* blocked\)"):
            dcp_reading.load(state(0.0), tmp_path / "step")
    assert not marker.exists()
