"""Pickles of others taken as data: what they ask for is on a list, or they are refused."""

import io
import pickle
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import torch

from locat.contract.errors import JobError

DCP_PARTS: Mapping[str, Collection[str]] = {
    "torch": ("Size",),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.distributed.checkpoint.metadata": (
        *("BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta"),
        *("TensorProperties", "TensorStorageMetadata", "_MEM_FORMAT_ENCODING"),
    ),
    "torch.serialization": ("_get_layout",),
}
"""Module -> what it has that torch's distributed checkpoints are made of."""


class DataUnpickler(pickle.Unpickler):
    """Builds what is on its list, torch's types of numbers, and paths that open nothing."""

    parts: ClassVar[Mapping[str, Collection[str]]] = DCP_PARTS
    who: ClassVar[str] = "it"

    def find_class(self, module: str, name: str) -> Any:
        """What `name` is in `module`.

        Raises:
            pickle.UnpicklingError: it is not on the list.
        """
        if name in self.parts.get(module, ()):
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            return member
        if name == "PosixPath" and module in ("pathlib", "pathlib._local"):
            return PurePosixPath
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        raise pickle.UnpicklingError(f"{self.who} asks for {module}.{name}")


def member(kind: Any, name: str) -> Any:
    """A member of an enumeration, as Python 3.11.0 to 3.11.3 write it: by `getattr`, which is refused for all else."""
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise pickle.UnpicklingError(f"it asks for {name} of {kind!r}")
    return kind.__members__[name]


def read(file: Path | io.BytesIO, map_location: Any = "cpu", mmap: bool = False) -> Any:
    """What torch has saved in `file`.

    Raises:
        pickle.UnpicklingError: it asks for something that is not data; says for what.
    """
    try:
        return torch.load(file, map_location=map_location, weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        # Torch wraps the reason in advice to unpickle it all the same.
        reason = str(error.__context__ or error).partition("\n")[0].partition(". ")[0].removesuffix(".")
        raise pickle.UnpicklingError(reason) from None


def refusal(path: Path, error: pickle.UnpicklingError) -> JobError:
    """What to say of a checkpoint, or a file of one, that asked for something that is not data."""
    return JobError(f"{path}: not a checkpoint of ours ({error}); delete it, then an older one is taken")
