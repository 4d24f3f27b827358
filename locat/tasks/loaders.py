"""What the training tasks share in reading their data."""

from collections.abc import Iterator
from typing import Literal

import torch

from locat.config import TrainingConfig
from locat.data.beton import verify_manifest
from locat.data.loader import Batch, Loader, Place
from locat.engine.checkpoint import Position
from locat.engine.distributed import Ranks


def open_loaders(config: TrainingConfig, ranks: Ranks, target: Literal["label", "mask"]) -> tuple[Loader, Loader]:
    """Loaders of the training and the evaluation set, once the main rank has verified the files' digests."""
    if ranks.is_main:
        for path in (config.data.train, config.data.val):
            verify_manifest(path)
    ranks.barrier()

    def open_loader(train: bool) -> Loader:
        return Loader(
            config.data.train if train else config.data.val,
            config.batch_size,
            seed=config.seed,
            rank=ranks.rank,
            world_size=ranks.world_size,
            threads=config.loader_threads,
            train=train,
            target=target,
            device=ranks.device,
        )

    return open_loader(train=True), open_loader(train=False)


def at_least_one(images: torch.Tensor) -> torch.Tensor:
    """`images` (n, 3, H, W), or a blank one where n is 0, as on some ranks in an evaluation's last batch.

    A sharded model must be called by all ranks together, and few models take no image at all.
    """
    return images if len(images) else images.new_zeros((1, *images.shape[1:]))


def stream(loader: Loader, position: Position, total_steps: int) -> Iterator[tuple[Batch, Position]]:
    """Batches from `position` on until `total_steps` are done, each with the position after it."""
    if position.step >= total_steps:
        return
    for step, (batch, place) in enumerate(loader.stream(Place(position.epoch, position.batch)), position.step + 1):
        yield batch, Position(step, *place)
        if step == total_steps:
            return
