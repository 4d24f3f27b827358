"""Trains a tiny ViT on fixed random images; run under torchrun: STRATEGY STAGE FOLDER STEPS [resume].

Prints the losses, averaged over ranks, as JSON on the main rank.
"""

import json
import sys
from pathlib import Path

import timm
import torch

from locat.config import Optimizer, Strategy
from locat.engine.checkpoint import Checkpoints, Position
from locat.engine.distributed import join_ranks
from locat.engine.strategies import make_strategy

BATCH = 12


def main() -> None:
    name, stage, folder, steps = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    config = Strategy.model_validate({"name": name, "zero_stage": stage})
    with join_ranks() as ranks:
        torch.manual_seed(0)
        model = timm.create_model(
            "vit_tiny_patch16_224", img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=2, num_classes=5
        )
        strategy = make_strategy(config, model, Optimizer(lr=1e-2, clip_grad=1.0), ranks, BATCH)
        checkpoints = Checkpoints(folder, 2, ranks, {"strategy": config.model_dump()})
        first = checkpoints.restore(strategy).step
        losses = []
        for step in range(first, steps):
            generator = torch.Generator().manual_seed(step)
            images = torch.randn(BATCH, 3, 16, 16, generator=generator)[ranks.rank :: ranks.world_size]
            labels = torch.randint(5, (BATCH,), generator=generator)[ranks.rank :: ranks.world_size]
            strategy.set_lr(1e-2 / (step + 1))
            loss = torch.nn.functional.cross_entropy(strategy.module(images), labels)
            norm = strategy.update(loss)
            losses.append([ranks.mean(loss), float(norm)])
        checkpoints.save(strategy, Position(step=steps))
        weights = strategy.full_weights()
        if ranks.is_main:
            fresh = timm.create_model(
                "vit_tiny_patch16_224", img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=2, num_classes=5
            )
            fresh.load_state_dict(weights)
            total = sum(value.double().abs().sum().item() for value in weights.values())
            (folder / "result.json").write_text(json.dumps({"losses": losses, "weights": total}))


main()
