"""Reading a checkpoint of DCP as data: what it holds is never run.

DCP itself unpickles its metadata, and every value that is no tensor, without asking what they are. Digests do not help:
who can write a checkpoint can write its manifest.
"""

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import metadata
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import ReadItem

from locat.engine import as_data
from locat.engine.as_data import DataUnpickler, refusal


def load(state: dict[str, Any], folder: Path, alone: bool = False) -> None:
    """Fill `state` from a checkpoint in place, on all ranks together, or on this one `alone`.

    Raises:
        JobError: the checkpoint asks for something that is not data.
    """
    reader = Reader(folder)
    try:
        reader.read_metadata()  # before DCP looks for other metadata in place of what it cannot read
        dcp.load(state, storage_reader=reader, planner=Planner(), no_dist=alone)
    except pickle.UnpicklingError as error:
        raise refusal(folder, error) from error
    except CheckpointException as error:
        for fault, _ in error.failures.values():
            if isinstance(fault, pickle.UnpicklingError):
                raise refusal(folder, fault) from error
        raise


def read(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names; on this rank alone.

    Raises:
        JobError: the checkpoint asks for something that is not data.
    """
    try:
        held = Reader(folder).read_metadata().state_dict_metadata
    except pickle.UnpicklingError as error:
        raise refusal(folder, error) from error
    tensors = {
        name: torch.empty(about.size, dtype=about.properties.dtype)
        for name, about in held.items()
        if name.startswith(prefix) and isinstance(about, metadata.TensorStorageMetadata)
    }
    if tensors:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # meant so
            load(tensors, folder, alone=True)
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


class MetadataUnpickler(DataUnpickler):
    """Builds what DCP's metadata is made of; refuses everything else."""

    who = "its metadata"


class Reader(dcp.FileSystemReader):
    """Takes metadata as data."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with (Path(self.path) / ".metadata").open("rb") as file:
            found: Metadata = MetadataUnpickler(file).load()
        found.storage_meta = found.storage_meta or metadata.StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found


class Planner(DefaultLoadPlanner):
    """Takes values that are no tensors as data."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        place = self.mappings[read_item.dest_index.fqn]
        set_element(self.original_state_dict, place, as_data.read(value))
