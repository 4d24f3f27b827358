"""What a job leaves of its numbers: outputs/metrics.json, as people, `compare` and reports read it."""

import hashlib
from collections.abc import Mapping
from typing import Protocol

from locat.config.training import Data
from locat.contract import durable
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.data.datasets.base import Contents
from locat.data.open_sets import manifest_of


class Evaluating(Protocol):
    """The config of a task that evaluates a model."""

    @property
    def task(self) -> str: ...
    @property
    def data(self) -> Data: ...


def write_results(
    job: JobFolder,
    config: Evaluating,
    model: str,
    contents: Contents,
    metrics: Mapping[str, float],
    **beside: Mapping[str, float],
) -> None:
    """Write metrics.json: whose numbers (`models.create.title`), on which dataset; the last thing that a job does.

    All that lies in outputs/ is on the disk before.

    `dataset` is its name for people, which two may share; `contents` differs where the files do. Of a task that is
    measured by one of several protocols, `protocol` says by which; `variant` is there where it is not the task's usual
    one (see `JobConfig`). `beside` are other numbers that are not compared, such as `last` of a job that reports its
    best evaluation.
    """
    protocol, variant = getattr(config, "protocol", None), getattr(config, "variant", "")
    results = {
        "task": config.task,
        "model": model,
        "dataset": contents.source,
        "contents": _digest(config.data),
        **({"protocol": protocol} if protocol else {}),
        **({"variant": variant} if variant != getattr(config, "usual", "") else {}),
        "metrics": dict(metrics),
        **{name: dict(numbers) for name, numbers in beside.items()},
    }
    Fence.here().check()
    durable.sync_tree(job.outputs)  # what has metrics.json is never trained again
    durable.write_json(job.results, results)


def _digest(data: Data) -> str:
    """Of both sets together, from their manifests."""
    digests = "\0".join(manifest_of(sets).sha256 for sets in (data.train, data.val))
    return hashlib.sha256(digests.encode()).hexdigest()
