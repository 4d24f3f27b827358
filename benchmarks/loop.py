"""What the training loop does beside the model, by part, and a bare loop of the same model between its steps.

    python benchmarks/loop.py [--strategy ddp] [--augment shift] [--steps 60] [--image 64] [--depth 4] [--width 96]

A real supervised job on digits, without its evaluation: LocAtViT, batch 64, EMA, clipping, a report every 10 steps, a
checkpoint in the middle. After each of its steps the bare loop takes one, of as many images: forward, backward, fused
AdamW. Times are CPU time of the thread that trains, with one thread of torch, so that other work on the machine counts
little; each part's is without the parts inside of it. Results go to benchmarks/results/.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from attention_measuring import write
from torch import nn
from torch.nn import functional as F

from locat.config import SupervisedConfig
from locat.config.datasets import DigitsScenes
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.data.augment import ImageNetTransform, ShiftTransform
from locat.data.datasets.digits import digits
from locat.data.loader import PendingViews
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.guards.nonfinite import Guard
from locat.engine.guards.watchdog import Watchdog
from locat.engine.loop import Training
from locat.engine.progress import Progress
from locat.engine.strategies import base, native
from locat.engine.tracking.metric_log import MetricLog
from locat.tasks.classification.supervised import Supervised

BATCH, CLASSES, STEPS_PER_EPOCH = 64, 10, 5
WARM = 5
"""Steps that do not count."""
AUGMENTATIONS: dict[str, dict[str, Any]] = {"shift": {"name": "shift", "pixels": 4}, "imagenet": {"name": "imagenet"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", default="ddp", choices=["ddp", "fsdp"])
    parser.add_argument("--augment", default="shift", choices=list(AUGMENTATIONS))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--image", type=int, default=64)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--width", type=int, default=96)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, join_ranks() as ranks:
        parts, steps, bare = measure(options, JobFolder(Path(folder)), ranks)
    plain = statistics.median(bare)
    step = statistics.median(steps)
    pairs = statistics.median(own / other for own, other in zip(steps, bare, strict=True))
    print(f"step {1000 * step:.2f} ms, bare {1000 * plain:.2f} ms, {1 / pairs:.3f} of the bare loop's images/s")
    table = {name: 1000 * seconds / options.steps for name, seconds in sorted(parts.items(), key=lambda part: -part[1])}
    for name, milliseconds in table.items():
        print(f"  {name:<34}{milliseconds:8.3f} ms a step {milliseconds / (10 * plain):6.2f} % of the bare step")
    found = {"bare_ms": 1000 * plain, "step_ms": 1000 * step, "images_by_bare": 1 / pairs, "parts_ms": table}
    name = f"loop-{options.strategy}-{options.augment}-{options.image}"
    write(name, "cpu", {"what": "training loop", "settings": vars(options), **found})


def measure(
    options: argparse.Namespace, job: JobFolder, ranks: Ranks
) -> tuple[dict[str, float], list[float], list[float]]:
    """Seconds of each part in all steps, and of each step, ours and the bare loop's."""
    data = job.path / "train.beton"
    scenes = DigitsScenes(
        name="digits", train_scenes=STEPS_PER_EPOCH * BATCH, val_scenes=BATCH, image_size=options.image
    )
    beton.write(data, digits(scenes)["train"], 1, lambda done: None)
    config = new_config(options, data)
    torch.manual_seed(0)
    task = Supervised(config, job, ranks)
    bare = BareLoop(copy.deepcopy(task.model), config)
    clock, own, others = Clock(), [], []
    finish_step = Watchdog.rest

    def after_step(watchdog: Watchdog) -> None:
        """A step is over but for what is saved after it, which counts for the next one."""
        finish_step(watchdog)
        own.append(clock.stop())
        others.append(bare.seconds())
        if len(own) == WARM:
            clock.parts.clear()
        clock.start()

    with ExitStack() as stack:
        stack.enter_context(patch.object(Watchdog, "rest", after_step))
        training = Training(task, config, job, ranks, stack)
        stack.enter_context(clock.watch(training.strategy.optimizer, "step", "optimizer"))
        stack.enter_context(clock.watch(training.strategy.module, "forward", "model: forward"))
        for owner, name, part in PARTS:
            stack.enter_context(clock.watch(owner, name, part))
        clock.start()
        training.run()
    return {**clock.parts, REST: sum(own[WARM:]) - sum(clock.parts.values())}, own[WARM:], others[WARM:]


PARTS: tuple[tuple[Any, str, str], ...] = (
    (torch.Tensor, "backward", "model: backward"),
    (ShiftTransform, "__call__", "augmentation"),
    (ImageNetTransform, "__call__", "augmentation"),
    (Guard, "judge", "guard"),
    (native, "spoil_if_not_finite", "guard"),
    (native, "clip_gradients", "clipping and the gradients' norm"),
    (base.Strategy, "follow", "EMA"),
    (base.Strategy, "begin", "rates"),
    (Ranks, "any", "asking the ranks whether to stop"),
    (Watchdog, "enter", "watchdog"),
    (Progress, "advance_to", "progress"),
    (Training, "_report", "report: numbers"),
    (MetricLog, "append", "report: metrics.jsonl"),
    (Checkpoints, "save", "checkpoint: standing still"),
    (PendingViews, "finish", "batch: to the device"),
)
"""Whose function, its name, and the part that it is."""
REST = "the rest: the loop itself"


class Clock:
    """CPU seconds of this thread by part, each without the parts inside of it, while it runs."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)
        self._inside = [0.0]
        self._began: float | None = None

    def start(self) -> None:
        self._began = time.thread_time()

    def stop(self) -> float:
        """Seconds since it was started."""
        assert self._began is not None
        took, self._began = time.thread_time() - self._began, None
        return took

    def watch(self, owner: Any, name: str, part: str) -> Any:
        """While this lasts, `owner`'s function `name` counts as `part`."""
        function = getattr(owner, name)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._began is None:
                return function(*args, **kwargs)
            self._inside.append(0.0)
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.thread_time() - began
                self.parts[part] += took - self._inside.pop()
                self._inside[-1] += took

        return patch.object(owner, name, timed)


class BareLoop:
    """Steps of the model and nothing else, on one batch."""

    def __init__(self, model: nn.Module, config: SupervisedConfig) -> None:
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), config.optimizer.lr, fused=True)
        self.images = torch.randn(BATCH, 3, config.image_size, config.image_size)
        self.targets = torch.full((BATCH, CLASSES), 1 / CLASSES)

    def seconds(self) -> float:
        """CPU time of one step."""
        began = time.thread_time()
        F.cross_entropy(self.model(self.images), self.targets).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.thread_time() - began


def new_config(options: argparse.Namespace, data: Path) -> SupervisedConfig:
    shape = {"img_size": options.image, "patch_size": 8, "embed_dim": options.width, "depth": options.depth}
    settings: dict[str, Any] = dict(
        task="supervised",
        model={"name": "locatvit_tiny", "args": {**shape, "num_heads": 3, "num_classes": CLASSES}},
        data={"train": data, "val": data},
        strategy=options.strategy,
        epochs=(options.steps + WARM) // STEPS_PER_EPOCH,
        evaluate_epochs=options.steps + WARM,
        batch_size=BATCH,
        augment=AUGMENTATIONS[options.augment],
        image_size=options.image,
        crop_pct=1.0,
        precision="fp32",
        ema_decay=0.999,
        log_every=10,
        checkpoints={"every_steps": options.steps // 2},
    )
    return SupervisedConfig(**settings)


if __name__ == "__main__":
    main()
