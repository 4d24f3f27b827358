"""Reading what DeepSpeed has written as data: what a file holds is never run, and never more than data."""

import pickle
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum
from deepspeed.utils.tensor_fragment import fragment_address

from locat.engine.as_data import member, read, refusal

PARTS = [
    LossScaler,
    ZeroStageEnum,
    fragment_address,
    (member, "builtins.getattr"),  # how Python 3.11.0 to 3.11.3 write a member of an enumeration
]
"""What ZeRO's states are made of, beside tensors and Python's own types."""


class AsData(TorchCheckpointEngine):  # type: ignore[misc]
    """DeepSpeed's checkpoint engine, for reading: its own unpickles whatever a file asks for."""

    def load(self, path: str, map_location: Any = None) -> Any:
        """See `read_states`."""
        return read_states(Path(path), map_location)


def read_states(path: Path, map_location: Any = "cpu", mmap: bool = False) -> Any:
    """What DeepSpeed, or LocAt for it, has saved in `path`.

    Raises:
        JobError: it asks for something that is not data.
    """
    try:
        with torch.serialization.safe_globals(PARTS):
            return read(path, map_location, mmap)
    except pickle.UnpicklingError as error:
        raise refusal(path, error) from error
