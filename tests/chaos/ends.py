"""What a job ended with, as far as it must be the same however often the job was killed."""

import json
from typing import Any

from locat.contract.checkpoint_folder import complete
from locat.contract.durable import sha256
from locat.contract.job_folder import JobFolder
from locat.engine.checkpoints.manifest import Manifest
from locat.engine.tracking.metric_log import read_records

CLOCKED = ("throughput/", "checkpoint/", "ranks/", "usage/")
"""Metrics that tell of time."""
INDEXES = ("strategy/.metadata",)
"""Of DCP: they hold a random number."""


def end_of(job: JobFolder) -> dict[str, Any]:
    """Digests of weights, optimizer and generators in the last checkpoint and of the outputs, the metrics, the results.

    Raises:
        AssertionError: something is there twice, or half.
    """
    metrics: dict[str, float] = {}
    for record, _ in read_records(job.metrics, 0):
        for name, value in record.metrics.items():
            key = f"{name} at {record.step}"
            assert key not in metrics, f"{key} was logged twice"
            metrics[key] = value
    kept = complete(job.checkpoints)
    assert kept, "no checkpoint is left"
    left = {path.name for path in job.checkpoints.iterdir()} - {path.name for path in kept}
    assert not left, f"left behind: {left}"
    return {
        "metrics": {key: value for key, value in metrics.items() if not key.startswith(CLOCKED)},
        "results": json.loads(job.results.read_text()),
        "outputs": {path.name: sha256(path) for path in sorted(job.outputs.glob("*.safetensors"))},
        "checkpoints": len(kept),  # who is asked to stop saves at steps of its own
        "last checkpoint": kept[-1].name,
        "last": {name: digest for name, digest in Manifest.read(kept[-1]).files.items() if name not in INDEXES},
    }


def differences(one: dict[str, Any], other: dict[str, Any], at: str = "") -> list[str]:
    """Where two ends differ, a line each."""
    found = []
    for key in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += differences(mine, theirs, f"{at}{key}: ")
        elif mine != theirs:
            found.append(f"{at}{key}: {mine} and {theirs}")
    return found
