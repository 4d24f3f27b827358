"""Trains a tiny ViT in several ways, one after the other; run under torchrun as `-m support.strategy_worker FOLDER`.

FOLDER holds cases.json. A case is the changes to a training config, how many updates, and at which of them the last
rank's loss is infinite. Half-way, or where it `stops`, each one is saved and goes on in a fresh strategy.
FOLDER/results.json gets, of each case, loss and gradient norm of every update, the exported weights, and what
the last forward and backward pass sent.
"""

import copy
import json
import math
import sys
from pathlib import Path
from typing import Any

import timm
import torch
import torch.distributed as dist
from torch import nn

from locat.config import TrainingConfig
from locat.data.position import Position
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.strategies import make_strategy, micro_batch_size
from support.traffic import traffic

BATCH = 12
MOMENTUM = 0.9
VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
PLAIN = {"precision": "fp32", "optimizer": {"lr": 1e-3, "clip_grad": 1.0}}


def new_config(changes: dict[str, Any]) -> TrainingConfig:
    data = {"train": "none", "val": "none"}
    return TrainingConfig(task="test", data=data, batch_size=BATCH, **{**PLAIN, **changes})


def new_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("vit_tiny_patch16_224", **VIT)


def batch_of(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (12, 3, 16, 16) and labels."""
    generator = torch.Generator().manual_seed(step)
    return torch.randn(BATCH, 3, 16, 16, generator=generator), torch.randint(5, (BATCH,), generator=generator)


def lr_of(step: int) -> float:
    return 1e-3 / (1 + step / 10)


def weight_decay_of(step: int) -> float:
    return 0.05 + 0.01 * step


def train(case: dict[str, Any], folder: Path, ranks: Ranks) -> dict[str, Any]:
    config, updates, follows = new_config(case["config"]), case["updates"], case.get("follows", False)
    frozen: dict[str, int] = case.get("frozen", {})
    rows: list[list[float]] = []
    for until in case.get("stops", (updates // 2, updates)):
        model = new_model(until if rows else 0)  # what comes back from the checkpoint is not what it starts from
        shadow = copy.deepcopy(model) if follows else None
        strategy = make_strategy(config, ranks, model, shadow, lambda name: frozen.get(name, 0))
        checkpoints = Checkpoints(folder, config.checkpoints, ranks, config.recorded())
        position = checkpoints.restore(strategy).position
        strategy.module.train()
        for step in range(position.step, until):
            share = BATCH // ranks.world_size
            mine = [part[ranks.rank * share :][:share] for part in batch_of(step)]
            pieces = list(zip(*(part.split(micro_batch_size(config, ranks)) for part in mine), strict=True))
            strategy.begin(step, lr_of(step), weight_decay_of(step) if case.get("schedules_decay") else None)
            spoiled = step in case.get("spoiled", []) and ranks.rank == ranks.world_size - 1
            factor = math.inf if spoiled else 1.0
            with traffic() as sent:
                loss = strategy.accumulate(
                    lambda piece, module=strategy.module, factor=factor: (
                        factor * nn.functional.cross_entropy(module(piece[0]), piece[1])
                    ),
                    pieces,
                )
            norm = strategy.update()
            if follows:
                strategy.follow(MOMENTUM)
            rows.append([ranks.mean(loss), norm.item()])
        checkpoints.save(strategy, Position(until), {})
        checkpoints.wait()
        ranks.barrier()  # no rank is at work in the group any more
        dist.destroy_process_group(checkpoints._group)  # each has a thread that wakes up 100 times a second
    weights = strategy.full_weights()
    output = None
    if follows:
        with torch.no_grad(), strategy.autocast():
            output = strategy.shadow(batch_of(0)[0]).float().sum().item()
    exported = {name: value.tolist() for name, value in weights.items()}
    return {"rows": rows, "weights": exported, "shadow": output, "sent": sent}


def main() -> None:
    folder = Path(sys.argv[1])
    cases: dict[str, dict[str, Any]] = json.loads((folder / "cases.json").read_text())
    with join_ranks() as ranks:
        results = {name: train(case, folder / name, ranks) for name, case in cases.items()}
        if ranks.is_main:
            (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
