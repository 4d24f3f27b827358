"""The schema of every job config: typed, documented, free of torch.

`load_job` reads `JOB_DIR/config.yaml`; the launcher validates the same models before
anything is submitted. `TASKS` maps a task's name to its config class, which says all that
must be known of the task before it runs (`JobConfig`). A new task is one more line here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from locat.config import augmentation, datasets, optimizer, segmentation
from locat.config.base import JobConfig, PositiveInt, Tracking
from locat.config.command import CommandConfig
from locat.config.datasets import ConvertConfig, DigitsScenes
from locat.config.export import ExportConfig
from locat.config.optimizer import Optimizer
from locat.config.predict import PredictConfig
from locat.config.tasks import (
    CompareConfig,
    DinoConfig,
    HummingbirdConfig,
    KnnConfig,
    LinearConfig,
    PretrainingConfig,
    SegmentConfig,
    SupervisedConfig,
)
from locat.config.training import Model, Strategy, TrainingConfig
from locat.contract import yaml_source
from locat.contract.errors import ConfigError
from locat.contract.plugins import Registry, subclass_of
from locat.contract.problems import PipelineError

__all__ = [
    "TASKS",
    "CommandConfig",
    "CompareConfig",
    "ConvertConfig",
    "DigitsScenes",
    "DinoConfig",
    "ExportConfig",
    "HummingbirdConfig",
    "JobConfig",
    "KnnConfig",
    "LinearConfig",
    "Model",
    "Optimizer",
    "PositiveInt",
    "PredictConfig",
    "PretrainingConfig",
    "SegmentConfig",
    "Strategy",
    "SupervisedConfig",
    "Tracking",
    "TrainingConfig",
    "load_job",
    "task_configs",
]

MAX_BYTES = 1 << 24
"""Of a job's config, which may list the results of thousands of jobs."""
TASKS = Registry(
    "locat.tasks",
    {
        "convert": "locat.config.datasets:ConvertConfig",
        "supervised": "locat.config.tasks:SupervisedConfig",
        "dino": "locat.config.tasks:DinoConfig",
        "knn": "locat.config.tasks:KnnConfig",
        "linear": "locat.config.tasks:LinearConfig",
        "segment": "locat.config.tasks:SegmentConfig",
        "hummingbird": "locat.config.tasks:HummingbirdConfig",
        "predict": "locat.config.predict:PredictConfig",
        "export": "locat.config.export:ExportConfig",
        "compare": "locat.config.tasks:CompareConfig",
        "command": "locat.config.command:CommandConfig",
    },
    subclass_of(JobConfig, "entry"),
)


def task_configs(installed: bool) -> Mapping[str, type[JobConfig]]:
    """The config class of each task: of this project, or with all that installed packages bring."""
    return {name: TASKS[name].with_installed() for name in TASKS} if installed else TASKS.built_in


def name_installed(definitions: Mapping[str, dict[str, Any]]) -> None:
    """Add to JSON schemas of parts of configs the names that installed packages bring."""
    for part, registry in (("Optimizer", optimizer.OTHERS), ("SegmentHead", segmentation.OTHERS)):
        if part in definitions:
            properties = definitions[part]["properties"]
            properties["name"] = {**properties["name"], "enum": [*properties["name"]["enum"], *registry.installed]}
    if "ImageNetAugmentation" in definitions and (names := augmentation.OTHERS.installed):
        definitions["ImageNetAugmentation"]["properties"]["own"]["items"] = {"enum": names}


def forget_installed() -> None:
    """Look for what installed packages bring anew."""
    for registry in (TASKS, augmentation.OTHERS, optimizer.OTHERS, segmentation.OTHERS):
        registry.forget_installed()
    datasets.forget_installed()


def load_job(path: Path) -> JobConfig:
    """Read and validate a job config.

    Raises:
        ConfigError: the file cannot be read, or is not a valid config; names file and keys.
    """
    try:
        source = yaml_source.read(path, MAX_BYTES)
    except PipelineError as error:
        raise ConfigError(str(error)) from error
    values = source.values
    task = values.get("task")
    if not isinstance(task, str) or task not in TASKS:
        raise ConfigError(str(source.problem(("task",), f"{task!r} is none of {', '.join(TASKS)}")))
    try:
        return TASKS[task].reading(values).model_validate(values)
    except ValidationError as error:
        lines = (str(source.problem(found["loc"], found["msg"])) for found in error.errors())
        raise ConfigError("\n".join(lines)) from error
