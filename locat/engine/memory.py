"""What to do when a GPU's memory is too small, told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from locat.config import TrainingConfig
from locat.contract.errors import JobError
from locat.engine.distributed import Ranks
from locat.engine.strategies import micro_batch_size


@contextmanager
def naming_the_remedy(config: TrainingConfig, ranks: Ranks) -> Iterator[None]:
    """Training is inside: where the GPU's memory does not hold it, a JobError says what does."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise JobError(out_of_memory(config, ranks, str(error))) from error


def out_of_memory(config: TrainingConfig, ranks: Ranks, told: str) -> str:
    """What a user can do, and the first sentences of what torch told: how much was asked for, and was there."""
    size = micro_batch_size(config, ranks)
    smaller = max((part for part in range(1, size) if size % part == 0), default=None)
    remedies = [f"micro_batch_size: {smaller} (the same batch in pieces)"] if smaller else []
    if not config.activation_checkpointing:
        remedies.append("activation_checkpointing: true")
    if config.strategy.name == "ddp":
        remedies.append("strategy: fsdp (each of several GPUs holds less)")
    remedy = (
        f"set {' or '.join(remedies)}" if remedies else "it needs more GPUs to share the weights, or a smaller model"
    )
    asked = ". ".join(told.split(". ")[:3])
    return f"the memory of {ranks.device} does not hold {size} images of a forward pass: {remedy}; torch: {asked}"
