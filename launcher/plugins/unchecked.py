"""What stands for the tasks and datasets of plugins that are not to be imported: it takes anything."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, create_model

from locat.config import TASKS, JobConfig, augmentation, optimizer, segmentation
from locat.config.datasets import DATASETS
from locat.config.datasets import Source as DatasetSource
from locat.contract.yaml_source import Source


class _AnyOutput(dict[str, str]):
    """Has every output, under its own name."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return key


class Unchecked(JobConfig):
    """A task that only a plugin knows."""

    model_config = ConfigDict(extra="allow")

    entry: ClassVar[str] = "unchecked:unchecked"
    outputs: ClassVar[dict[str, str]] = _AnyOutput()
    distributed: ClassVar[bool] = True

    strategy: Any = None
    seed: Any = None


class UncheckedDataset(DatasetSource):
    """A dataset that only a plugin knows."""

    model_config = ConfigDict(extra="allow")

    reader: ClassVar[str] = "unchecked:unchecked"


def lend(sources: Sequence[Source]) -> None:
    """Have every name in these pipelines that is none of the project's stand for anything."""
    tasks: set[str] = set()
    names: set[str] = set()
    for source in sources:
        jobs = source.values.get("jobs")
        for job in jobs.values() if isinstance(jobs, dict) else ():
            if isinstance(job, dict):
                tasks |= {job["task"]} if isinstance(job.get("task"), str) else set()
                names |= {*_texts(job.get("config")), *_texts(job.get("matrix"))}
    TASKS.lend({name: _named(Unchecked, "task", name) for name in tasks if name not in TASKS.own})
    for registry in (augmentation.OTHERS, optimizer.OTHERS, segmentation.OTHERS):
        registry.lend(dict.fromkeys(names, unbuilt))
    DATASETS.lend({name: _named(UncheckedDataset, "name", name) for name in names if name not in DATASETS.own})


def unbuilt(*given: object) -> object:
    """Stands for a function of a plugin; only jobs call that."""
    raise NotImplementedError


def _named(base: Any, key: str, name: str) -> Any:
    fields: dict[str, Any] = {key: (Literal[name], ...)}
    return create_model(base.__name__, __base__=base, **fields)


def _texts(value: Any) -> Iterator[str]:
    """Names in a job's config and matrix: which of them is a dataset's is known only once references are followed."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)
