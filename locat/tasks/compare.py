"""compare: the numbers of upstream jobs side by side, a row per model."""

import json
import logging
from typing import Any

from locat import durable
from locat.config import CompareConfig
from locat.engine.metric_log import MetricLog
from locat.engine.tracking import tracked
from locat.errors import DataError
from locat.job_folder import JobFolder
from locat.tasks.figures import comparison_figure, save

logger = logging.getLogger(__name__)

HEADLINES = ("top1", "miou")


def compare(config: CompareConfig, job: JobFolder) -> None:
    """Write outputs/comparison.json and a bar chart."""
    with tracked(job, config, is_main=True):
        rows: dict[str, dict[str, Any]] = {}
        for path in config.results:
            try:
                result = json.loads(path.read_text())
            except OSError as error:
                raise DataError(f"{path}: the results of an upstream job cannot be read: {error}") from error
            rows.setdefault(result["model"], {"model": result["model"]}).update(result["metrics"])
        table = list(rows.values())
        names = dict.fromkeys(key for row in table for key in row if key != "model")
        columns = [*(name for name in HEADLINES if name in names), *(name for name in names if name not in HEADLINES)]
        MetricLog(job.metrics).append(
            0, {f"{row['model']}/{key}": row[key] for row in table for key in columns if key in row}
        )
        headlines = [name for name in columns if name in HEADLINES]
        save(comparison_figure(table, headlines), job.figures / "comparison.png")
        for row in table:
            logger.info("%s: %s", row["model"], ", ".join(f"{key} {row[key]:.2f}" for key in columns if key in row))
        durable.write_json(job.outputs / "comparison.json", {"columns": ["model", *columns], "rows": table})
