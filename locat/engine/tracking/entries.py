"""A job's entries in MLflow beside its run: the datasets that it read, and the model that it left."""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from locat.config import JobConfig
from locat.contract.data_sets import named_sets
from locat.contract.job_folder import JobFolder
from locat.engine.tracking.client import MlflowClient
from locat.engine.tracking.notes import run_link

logger = logging.getLogger(__name__)

DIGEST_LENGTH = 12  # characters that tell files apart; it stands beside each name
NOT_IN_MODEL_NAMES = re.compile("[/:]")
"""Characters that MLflow refuses in a registered model's name; `_` is sent for them."""
MODEL = "model.safetensors"


def dataset_inputs(config: JobConfig) -> list[DatasetInput]:
    """The files that a job reads its samples from, as their manifests (locat/data/beton.py) describe them."""
    found = []
    for use, path in named_sets(config.recorded().get("data", {})):
        try:
            manifest = json.loads(Path(f"{path}.json").read_text())
            contents, digest = manifest["contents"], manifest["sha256"][:DIGEST_LENGTH]
        except (OSError, ValueError, LookupError, TypeError):
            continue  # the task says what is wrong with it
        profile = {
            "samples": contents["samples"],
            "classes": len(contents["classes"]),
            "mask classes": len(contents["mask_classes"]),
            "bytes": manifest["bytes"],
        }
        source = json.dumps({"uri": path})
        dataset = Dataset(contents["source"], digest, "local", source, profile=json.dumps(profile))
        found.append(DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, use.partition(".")[0])]))
    return found


def register_model(client: MlflowClient, job: JobFolder, experiment: str, run_id: str) -> None:
    """Make the model that the job trained a version of one registered under its name, with what it achieved.

    A version is made once a run, however often this is called. A server that takes no models, or not from this
    user, costs a warning; whatever else is raised may be gone the next time.
    """
    if not (job.outputs / MODEL).exists() or not job.results.exists():
        return
    results = json.loads(job.results.read_text())
    try:
        _register(client, client.get_run(run_id), experiment, results)
    except MlflowException as error:
        if error.get_http_status_code() in (401, 403, 404, 501):
            logger.warning("%s: MLflow registers no model: %s", job.name, error)
        else:
            raise


def _register(client: MlflowClient, run: Run, experiment: str, results: Mapping[str, Any]) -> None:
    run_id, model = run.info.run_id, results["model"]
    if client.search_model_versions(f"run_id = '{run_id}'"):
        return
    name = NOT_IN_MODEL_NAMES.sub("_", f"{experiment} {model}")
    try:
        client.create_registered_model(name, description=f"{model}, trained in the experiment {experiment}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    numbers = {metric: f"{value:.2f}" for metric, value in results["metrics"].items()}
    earned = ", ".join(f"{metric} {value}" for metric, value in numbers.items())
    link = run_link(run.info.run_name, run.info.experiment_id, run_id)
    client.create_model_version(
        name,
        source=run.info.artifact_uri,
        run_id=run_id,
        tags={**numbers, "dataset": results["dataset"], "task": results["task"]},
        description=f"{earned} on {results['dataset']}; trained by {link}",
        await_creation_for=0,
    )
