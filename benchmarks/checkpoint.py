"""How long training stands still for a checkpoint: saved beside it, and while it waits, in one run.

    python benchmarks/checkpoint.py [--model vit_small_patch16_224] [--strategy fsdp] [--rounds 5]

One rank, one update between two checkpoints. "Beside" is what a job does: training goes on as soon as weights and
optimizer are copied; "waiting" is the same checkpoint, waited for. The two take turns. Between two checkpoints the
one before is awaited, as if there were time enough.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import timm
import torch

from locat.config import TrainingConfig
from locat.config.training import Checkpoints as Settings
from locat.data.position import Position
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.distributed import join_ranks
from locat.engine.strategies import make_strategy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_small_patch16_224")
    parser.add_argument("--strategy", default="fsdp", choices=["ddp", "fsdp", "deepspeed"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    data = {"train": "none", "val": "none"}
    config = TrainingConfig(task="test", strategy=options.strategy, data=data, batch_size=1, precision="fp32")
    with join_ranks() as ranks, tempfile.TemporaryDirectory() as folder:
        model = timm.create_model(options.model)
        strategy = make_strategy(config, ranks, model)
        image = torch.randn(1, 3, 224, 224, device=ranks.device)
        times: dict[str, list[float]] = {"beside": [], "waiting": []}
        with Checkpoints(Path(folder), Settings(keep=1), ranks, {}) as checkpoints:
            for step, name in enumerate([*times] * (options.rounds + 1), 1):
                strategy.accumulate(lambda images: strategy.module(images).square().mean(), [image])
                strategy.update()
                checkpoints.wait()
                save = partial(checkpoints.save, strategy, Position(step), {})
                times[name].append(seconds(save, name, checkpoints))
        parameters = sum(weight.numel() for weight in model.parameters()) / 1e6
    median = {name: statistics.median(rounds[1:]) for name, rounds in times.items()}  # the first ones allocate
    print(f"{options.model}, {parameters:.0f} M parameters, {options.strategy}, {ranks.device}, 1 rank")
    for name, value in median.items():
        print(f"{name:<10}{1000 * value:9.1f} ms  {value / median['waiting']:6.3f} x waiting")


def seconds(save: Callable[[], None], name: str, checkpoints: Checkpoints) -> float:
    """For how long training stands still."""
    began = perf_counter()
    save()
    if name == "waiting":
        checkpoints.wait()
    return perf_counter() - began


if __name__ == "__main__":
    main()
