"""Reading a checkpoint of DCP as data: what it holds is never run.

DCP itself unpickles its metadata, and every value that is no tensor, without asking what they are. Digests do not help:
who can write a checkpoint can write its manifest.
"""

import io
import pickle
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import ReadItem

from locat.contract.errors import JobError

PARTS: dict[tuple[str, str], type] = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (
        filesystem._StorageInfo,
        metadata.BytesStorageMetadata,
        metadata.ChunkStorageMetadata,
        metadata.Metadata,
        metadata.MetadataIndex,
        metadata.StorageMeta,
        metadata.TensorProperties,
        metadata.TensorStorageMetadata,
        metadata._MEM_FORMAT_ENCODING,
        torch.Size,
    )
}
"""Classes that DCP's metadata is made of."""
PARTS |= {(module, "PosixPath"): PurePosixPath for module in ("pathlib", "pathlib._local")}  # where it was saved


def load(state: dict[str, Any], folder: Path) -> None:
    """Fill `state` from a checkpoint in place, on all ranks together.

    Raises:
        JobError: the checkpoint asks for something that is not data.
    """
    reader = Reader(folder)
    try:
        reader.read_metadata()  # before DCP looks for other metadata in place of what it cannot read
        dcp.load(state, storage_reader=reader, planner=Planner())
    except pickle.UnpicklingError as error:
        raise _refusal(folder, error) from error
    except CheckpointException as error:
        for fault, _ in error.failures.values():
            if isinstance(fault, pickle.UnpicklingError):
                raise _refusal(folder, fault) from error
        raise


def _refusal(folder: Path, error: BaseException) -> JobError:
    reason = str(error).partition("\n")[0]
    return JobError(f"{folder}: not a checkpoint of ours ({reason}); delete it, then an older one is taken")


def member(kind: Any, name: str) -> Any:
    """A member of an enumeration, as Python 3.11.0 to 3.11.3 write it: by `getattr`, which is refused for all else."""
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise pickle.UnpicklingError(f"its metadata asks for {name} of {kind!r}")
    return kind.__members__[name]


class MetadataUnpickler(pickle.Unpickler):
    """Builds what DCP's metadata is made of; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in PARTS:
            return PARTS[module, name]
        if (module, name) == ("builtins", "getattr"):
            return member
        if (module, name) == ("torch.serialization", "_get_layout"):
            return torch.serialization._get_layout
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        raise pickle.UnpicklingError(f"its metadata asks for {module}.{name}")


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
        set_element(self.original_state_dict, place, torch.load(value, weights_only=True))
