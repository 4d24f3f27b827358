"""compare: the numbers of upstream jobs side by side, a row per model."""

import json
import logging
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from locat.config import TASKS, CompareConfig
from locat.contract.comparison import Comparison
from locat.contract.errors import DataError
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.tasks.figures import comparison_figure, save

logger = logging.getLogger(__name__)

Result = dict[str, Any]
"""What `write_results` wrote: task, model, dataset, its contents, metrics."""

DIGITS = 7  # of a digest, enough to tell a few datasets apart
SPREAD = "sd"
"""What the column of a standard deviation ends in."""


def compare(config: CompareConfig, job: JobFolder) -> None:
    """Write outputs/comparison.json and a bar chart."""
    with tracked(job, config, is_main=True):
        results = [read(path) for path in config.results]
        table, first = comparison(results), headlines(results)
        columns = in_order(table, first)
        MetricLog(job.metrics).append(
            0, {f"{row['model']}/{key}": row[key] for row in table for key in columns if key in row}
        )
        shown = [name for name in columns if name.split()[-1] in first]
        save(comparison_figure(table, shown), job.figures / "comparison.png")
        for row in table:
            logger.info("%s: %s", row["model"], ", ".join(f"{key} {row[key]:.2f}" for key in columns if key in row))
        Fence.here().check()
        Comparison(["model", *columns], table).write(job.outputs)


def read(path: Path) -> Result:
    """The results of an upstream job."""
    try:
        result: Result = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the results of an upstream job cannot be read: {error}") from error
    return result


def headlines(results: Sequence[Result]) -> set[str]:
    """The metrics by which the tasks of these results are compared; none of a task that is not installed here."""
    configs = (TASKS.get(task) for task in {result["task"] for result in results})
    return {config.headline for config in configs if config and config.headline}


def comparison(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row per model; where a task was done on several datasets, its columns say which: `ADE20K miou`.

    Of several results of one model, as of several seeds, the mean and the standard deviation (`miou sd`). Datasets
    that only share their name are not taken together: their columns have the beginning of the contents' digest too.
    Nor are numbers by different protocols, or by different variants of a task, as of a frozen and a trained backbone:
    their columns name these.
    """
    datasets: dict[str, set[tuple[str, str]]] = {}
    protocols: dict[str, set[str]] = {}
    variants: dict[str, set[str]] = {}
    for result in results:
        datasets.setdefault(result["task"], set()).add(_dataset(result))
        protocols.setdefault(result["task"], set()).add(_protocol(result))
        variants.setdefault(result["task"], set()).add(_variant(result))
    rows: dict[str, dict[str, list[float]]] = {}
    for result in results:
        prefix = _prefix(result, datasets[result["task"]])
        if len(protocols[result["task"]]) > 1:
            prefix += f"{_protocol(result)} "
        if len(variants[result["task"]]) > 1:
            prefix += f"{_variant(result)} "
        row = rows.setdefault(result["model"], {})
        for name, value in result["metrics"].items():
            row.setdefault(f"{prefix}{name}", []).append(value)
    return [{"model": model, **_statistics(row)} for model, row in rows.items()]


def _dataset(result: Result) -> tuple[str, str]:
    """Name and contents; those of a job of an older version are not known."""
    return result["dataset"], result.get("contents", "")


def _protocol(result: Result) -> str:
    """Of a job of an older version it is not told."""
    protocol: str = result.get("protocol", "(protocol unknown)")
    return protocol


def _variant(result: Result) -> str:
    """See `JobConfig.variant`."""
    config = TASKS.get(result["task"])
    variant: str = result.get("variant", config.usual if config else "")
    return variant


def _prefix(result: Result, datasets: Set[tuple[str, str]]) -> str:
    """What a result's columns begin with, to tell its dataset from the others of its task."""
    name, contents = _dataset(result)
    if len(datasets) == 1:
        return ""
    shared = sum(other == name for other, _ in datasets) > 1
    return f"{name} ({contents[:DIGITS] or 'unknown'}) " if shared else f"{name} "


def _statistics(row: Mapping[str, Sequence[float]]) -> dict[str, float]:
    means = {name: mean(values) for name, values in row.items()}
    return means | {f"{name} {SPREAD}": stdev(values) for name, values in row.items() if len(values) > 1}


def in_order(table: Sequence[dict[str, Any]], headlines: Set[str]) -> list[str]:
    """The columns but for the model's: those of `headlines` first, then their spread, then the rest."""
    names = dict.fromkeys(key for row in table for key in row if key != "model")

    def is_detail(name: str) -> bool:
        return name.removesuffix(f" {SPREAD}").split()[-1] not in headlines

    return sorted(names, key=lambda name: (is_detail(name), name.endswith(f" {SPREAD}")))
