"""What DeepSpeed would write, kept in host memory, so that it can be written beside training."""

import copy
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

NOWHERE = Path("not-a-folder")
"""What DeepSpeed is told to save to."""


class HeldBack(TorchCheckpointEngine):  # type: ignore[misc]
    """DeepSpeed's checkpoint engine, which writes when `write` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Path, Any]] = []

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing is written yet."""

    def save(self, state_dict: dict[str, Any], path: str) -> None:
        """Hold back a copy of `state_dict`."""
        self.held.append((Path(path).relative_to(NOWHERE), host_copy(state_dict, {})))


def snapshot(engine: Any, tag: str) -> list[tuple[Path, Any]]:
    """What this rank has to write, as paths below a folder and what they are to hold; every rank must call it."""
    engine.checkpoint_engine = holder = HeldBack()
    engine._copy_recovery_script = lambda folder: None  # programs do not belong into a checkpoint
    engine.save_checkpoint(str(NOWHERE), tag=tag, save_latest=False)
    return holder.held


def write(held: list[tuple[Path, Any]], folder: Path) -> None:
    """Write below `folder` what was held back."""
    for path, state in held:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / path)


def host_copy(value: Any, seen: dict[tuple[Any, ...], torch.Tensor]) -> Any:
    """A deep copy in host memory: of views only what they show, of shared tensors one copy, kept in `seen`."""
    if torch.is_tensor(value):
        storage = value.untyped_storage().data_ptr()
        key = (storage, value.storage_offset(), value.shape, value.stride(), value.dtype)
        if key not in seen or not value.numel():
            seen[key] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return seen[key]
    if isinstance(value, dict):
        new = copy.copy(value)  # the same class, with the attributes of a state dict
        new.update({key: host_copy(entry, seen) for key, entry in value.items()})
        return new
    if type(value) in (list, tuple):
        return type(value)(host_copy(entry, seen) for entry in value)
    return copy.deepcopy(value)
