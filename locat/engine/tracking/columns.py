"""The columns of MLflow's list of runs: a shared view, which belongs to the experiment and which links name."""

import json

from locat.engine.tracking.client import MlflowClient

NAME = "locat"
TAG = f"mlflow.sharedViewState.{NAME}"
"""Of an experiment; MLflow itself writes such a one when somebody shares a view."""
SHARED = f"viewStateShareKey={NAME}"
"""What a link to the list of runs says to be shown so."""
WIDTHS = {
    "attributes.`Run Name`": 260,
    "runDateAndNestInfo": 140,
    "metrics.`val/top1`": 80,
    "metrics.`val/miou`": 80,
    "metrics.`train/loss`": 90,
    "params.`seed`": 60,
    "attributes.`Dataset`": 150,
}
"""Columns in their order, by what MLflow's pages call them -> pixels."""


def share(client: MlflowClient, experiment_id: str) -> None:
    """Let the experiment have this view."""
    state = {"selectedColumns": list(WIDTHS), "columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
    client.set_experiment_tag(experiment_id, TAG, json.dumps(state))
