"""What ranks tell each other by torch's own collectives of objects, taken as data.

These are pickles, which torch reads from the network without asking what is in them. LocAt's own messages are JSON
(locat/engine/distributed.py); those that distributed checkpoints send are made of what is listed here.
"""

import pickle
import sys
from typing import Any

from torch.distributed import distributed_c10d

from locat.engine.as_data import DCP_PARTS, DataUnpickler

PLANS = {
    **DCP_PARTS,
    "torch.distributed.checkpoint.api": ("CheckpointException",),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo", "_StoragePrefix"),
    "torch.distributed.checkpoint.planner": (
        *("BytesIOWriteData", "LoadItemType", "LoadPlan", "ReadItem", "SavePlan", "TensorWriteData", "WriteItem"),
        "WriteItemType",
    ),
    "torch.distributed.checkpoint.storage": ("WriteResult",),
    "traceback": ("FrameSummary", "StackSummary"),
}
"""Module -> what it has that plans to save and to load, and how they went, are made of."""


class PeerUnpickler(DataUnpickler):
    """Builds what distributed checkpoints tell each other, and errors of what is imported here already."""

    parts = PLANS
    who = "what another rank sent"

    def find_class(self, module: str, name: str) -> Any:
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
        return super().find_class(module, name)


def restrict() -> None:
    """Have torch's collectives of objects read by `PeerUnpickler` in this process."""
    assert distributed_c10d._unpickler in (pickle.Unpickler, PeerUnpickler), "torch reads them in another way"
    distributed_c10d._unpickler = PeerUnpickler
