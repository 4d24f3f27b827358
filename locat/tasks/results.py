"""What a job leaves of its numbers: outputs/metrics.json, as people, `compare` and reports read it."""

from collections.abc import Mapping

from locat.config import JobConfig
from locat.contract import durable
from locat.contract.job_folder import JobFolder
from locat.data.datasets.base import Contents


def write_results(
    job: JobFolder, config: JobConfig, model: str, contents: Contents, metrics: Mapping[str, float]
) -> None:
    """Write metrics.json: whose numbers (`models.create.title`), on which dataset; the last thing that a job does."""
    results = {"task": config.task, "model": model, "dataset": contents.source, "metrics": dict(metrics)}
    durable.write_json(job.results, results)
