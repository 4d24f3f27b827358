"""export: an upstream job's model as a program that runs elsewhere."""

import json
import logging

from locat.config.export import ExportConfig
from locat.contract import durable
from locat.contract.job_folder import JobFolder
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.export.run import RECORD, Record
from locat.export.run import export as export_model
from locat.predict.model import Model

logger = logging.getLogger(__name__)


def export(config: ExportConfig, job: JobFolder) -> None:
    """Write outputs/model/ with the programs and export.json, and say how far they differ from the model."""
    with tracked(job, config, is_main=True):
        folder = job.outputs / "model"
        durable.make_folder(job.outputs, within=job.path)
        if (folder / RECORD).exists():
            logger.info("%s exists: this model is exported already", folder / RECORD)
            record: Record = json.loads((folder / RECORD).read_text())
        else:
            record = export_model(Model.from_source(config.model), folder, config)
        MetricLog(job.metrics).append(0, measured(record))


def measured(record: Record) -> dict[str, float]:
    """Of each file its size, and the largest difference to the model."""
    found: dict[str, float] = {}
    for name, file in record["files"].items():
        found[f"{name}/bytes"] = file["bytes"]
        found[f"{name}/difference"] = max(compared["difference"] for compared in file["compared"])
    return found
