"""The jobs that are killed: small, real, and between them every strategy and every kind of training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import training

OFTEN = {"checkpoints": {"every_steps": 2}}
AVERAGED = {"ema_decay": 0.9, "precision": "bf16", "micro_batch_size": 8}
BEST = {"checkpoints": {"every_steps": 3, "keep": 1, "best": "top1"}}


def subjects(data: Mapping[str, str], backbone: Path) -> dict[str, dict[str, Any]]:
    """Configs of jobs by name; `backbone` is a folder with a model."""
    supervised = training.supervised(data, **OFTEN)
    vit = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "drop_path_rate": 0.1}
    dino = {
        "task": "dino",
        "model": {"name": "locatvit_tiny", "args": vit},
        "data": dict(data),
        "epochs": 3,
        "batch_size": 24,
        "schedule": {"warmup_epochs": 1, "min_lr": 1e-6},
        "crops": {"global_size": 32, "local_size": 16, "local_crops": 2},
        "head": {"out_dim": 64, "hidden_dim": 64, "bottleneck_dim": 32},
        "precision": "fp32",
        "log_every": 1,
        **OFTEN,
    }
    free = {"freeze_last_layer_epochs": 0, "optimizer": {"lr": 1e-3, "clip": "global"}}
    segment = {
        "task": "segment",
        "backbone": str(backbone),
        "data": dict(data),
        "iterations": 8,
        "batch_size": 24,
        "evaluate_iterations": 4,
        "precision": "fp32",
        "log_every": 1,
        **OFTEN,
    }

    def zero(stage: int) -> dict[str, Any]:
        return {"strategy": {"name": "deepspeed", "zero_stage": stage}}

    return {
        "supervised-ddp": {**supervised, **AVERAGED, "strategy": "ddp"},
        "supervised-fsdp": {**supervised, **BEST, "strategy": "fsdp"},
        "supervised-zero3": {**supervised, **zero(3)},
        "dino-ddp": {**dino, "strategy": "ddp"},
        "dino-fsdp": {**dino, "strategy": "fsdp"},
        "dino-zero1": {**dino, **free, **zero(1)},
        "segment-ddp": {**segment, "strategy": "ddp"},
        "segment-fsdp": {**segment, "strategy": "fsdp"},
        "segment-zero2": {**segment, **zero(2)},
    }
