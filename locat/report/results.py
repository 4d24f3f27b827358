"""What a report is made of: the numbers of jobs, and what is told of their runs."""

from collections.abc import Mapping
from dataclasses import dataclass

Settings = tuple[tuple[str, str], ...]
"""Dotted keys of a job's config and their values, sorted; without seeds, paths and how it is computed."""


@dataclass(frozen=True)
class Origin:
    """How a model's weights came about; all empty for weights from elsewhere."""

    task: str = ""
    """supervised or dino."""
    dataset: str = ""
    """What it was trained on, as people call it."""
    settings: Settings = ()
    """Its own, and those of its dataset (`dataset.train_scenes`)."""


@dataclass(frozen=True)
class Result:
    """What one finished job found of one model."""

    task: str
    model: str
    """As `locat.models.create.title` calls it, such as `locatvit_tiny, prr=False`."""
    dataset: str
    """What it was evaluated on, as people call it."""
    metrics: Mapping[str, float]
    """In percent."""
    origin: Origin
    seeds: tuple[str, ...]
    """Of the pretraining, where that is known, and of the job itself."""
    settings: Settings = ()
    """Of the evaluation, where that is another job than the pretraining."""
    contents: str = ""
    """What tells the images apart that it was evaluated on; empty of an older job, which did not say it."""
    protocol: str = ""
    """By which of several protocols it was measured; empty where there is one, or an older job did not say it."""
    variant: str = ""
    """Which of several ways to evaluate a model it is (`JobConfig.variant`); empty for the task's usual one."""
    run: str = ""
    """The pipeline run it belongs to."""
    job: str = ""
    ended: float = 0.0
    """Unix time in seconds."""


@dataclass(frozen=True)
class RunSummary:
    """What a report tells of a pipeline run."""

    name: str
    pipeline: str
    commit: str
    """Of the code; empty where that did not run from a checkout."""
    link: str
    """The run's page; empty where no server has one."""
    done: int
    """Jobs that are."""
    unfinished: tuple[tuple[str, str], ...]
    """Jobs that began and are not done, each with its status."""
