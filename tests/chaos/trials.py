"""Trials by seed, of every kind in turn."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos import forked, jobs, launched
from support import training

SCENES = {"task": "convert", "dataset": {"name": "digits", "train_scenes": 96, "val_scenes": 33, "image_size": 32}}


@dataclass(frozen=True)
class Trial:
    """What was done to a job, and what is not as if nothing had been."""

    seed: int
    subject: str
    story: str
    problems: list[str]

    def __str__(self) -> str:
        ending = "the same" if not self.problems else "; ".join(["DIFFERENT", *self.problems])
        return f"{self.seed:4d} {self.subject}: {self.story}: {ending}"


def trials(folder: Path, seed: int, launched_every: int) -> Iterator[Trial]:
    """Trials without end, of seeds from `seed` on; every `launched_every`-th of a whole run of one or two ranks.

    References are made as they are needed.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    forked.preload()
    training.write_config(folder / "scenes", SCENES)
    assert forked.wait(forked.start(folder / "scenes")) == 0
    data = {split: str(folder / "scenes/outputs" / f"{split}.beton") for split in ("train", "val")}
    backbone = folder / "alone" / "supervised-ddp"
    configs = jobs.subjects(data, backbone / "outputs")
    alone = {"supervised-ddp": forked.left_alone(backbone, configs["supervised-ddp"])}
    runs: dict[int, launched.Reference] = {}
    while True:
        here = folder / f"trial-{seed}"
        if seed % launched_every == launched_every - 1:
            ranks = 1 + seed // launched_every % 2
            if ranks not in runs:
                runs[ranks] = launched.left_alone(folder / "alone" / f"run-{ranks}", ranks)
            yield Trial(seed, f"run-{ranks}", *launched.trial(here, runs[ranks], ranks, seed))
        else:
            name = list(configs)[seed % len(configs)]
            if name not in alone:
                alone[name] = forked.left_alone(folder / "alone" / name, configs[name])
            yield Trial(seed, name, *forked.trial(here, alone[name], seed))
        shutil.rmtree(here)
        seed += 1
